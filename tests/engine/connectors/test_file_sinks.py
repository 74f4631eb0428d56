from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.connectors.files import DirSink, FileSink
from engine.outputs import StatefulSinkPartition

batch_lists = st.lists(st.lists(st.text("ab\né😀", max_size=3), max_size=3), max_size=6)


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("sink") / "out.txt"


def open_part(path: Path, position: int | None = None) -> StatefulSinkPartition[str, int]:
    return FileSink(path).build_part("flow.out", str(path), position)


@given(batch_lists, batch_lists, batch_lists)
def test_a_resumed_file_holds_each_value_once(
    path: Path, kept: list[list[str]], lost: list[list[str]], after: list[list[str]]
) -> None:
    part = open_part(path)
    for batch in kept:
        part.write_batch(batch)
    position = part.snapshot()
    for batch in lost:
        part.write_batch(batch)
    part.close()

    part = open_part(path, position)
    for batch in after:
        part.write_batch(batch)
    part.close()
    expected = "".join(f"{value}\n" for batch in kept + after for value in batch)
    assert path.read_bytes() == expected.encode()


def test_a_run_begins_with_an_empty_file(path: Path) -> None:
    path.write_text("of an earlier run")
    open_part(path).close()
    assert path.read_text() == ""


def test_values_are_in_the_file_once_there_is_a_snapshot(path: Path) -> None:
    part = open_part(path)
    part.write_batch(["a", "b"])
    assert part.snapshot() == 4
    assert path.read_text() == "a\nb\n"
    part.close()


def test_each_value_gets_the_end_that_was_asked_for(tmp_path: Path) -> None:
    sink = FileSink(str(tmp_path / "out"), end=";")
    part = sink.build_part("flow.out", str(tmp_path / "out"), None)
    part.write_batch(["a", "b"])
    part.close()
    assert (tmp_path / "out").read_text() == "a;b;"


def test_a_file_that_became_shorter_is_refused_and_left_alone(path: Path) -> None:
    path.write_text("ab")
    with pytest.raises(ValueError, match="byte 10: it has 2 bytes now"):
        open_part(path, 10)
    assert path.read_text() == "ab"


def test_a_missing_directory_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"directory of 'out\.txt' does not") as caught:
        open_part(tmp_path / "missing" / "out.txt")
    assert caught.value.filename == str(tmp_path / "missing")


def test_the_state_of_another_file_is_refused(path: Path) -> None:
    with pytest.raises(ValueError, match=r"other\.txt"):
        FileSink(path).build_part("flow.out", "other.txt", None)


def test_a_device_takes_values_too() -> None:
    part = open_part(Path("/dev/null"))
    part.write_batch(["a"])
    assert part.snapshot() == 2
    part.close()


def test_every_key_goes_to_the_only_file(path: Path) -> None:
    sink = FileSink(path)
    assert sink.list_parts() == [str(path)]
    assert {sink.part_fn(key) for key in ("a", "b", "c")} == {0}


def test_keys_are_spread_over_the_files_of_a_directory() -> None:
    sink = DirSink("out", 3)
    assert {sink.part_fn(str(key)) for key in range(20)} == {0, 1, 2}


def test_a_directory_holds_the_files_that_were_asked_for(tmp_path: Path) -> None:
    sink = DirSink(tmp_path, 2, lambda index, count: f"{index + 1}-of-{count}")
    assert sink.list_parts() == ["1-of-2", "2-of-2"]
    for name in sink.list_parts():
        part = sink.build_part("flow.out", name, None)
        part.write_batch([name])
        part.close()
    assert (tmp_path / "2-of-2").read_text() == "2-of-2\n"


def test_a_key_goes_to_the_file_it_was_assigned_to() -> None:
    sink = DirSink("out", 12, assign_file=int)
    # A worker counts the partitions of the cluster in the order of their names.
    parts = sorted(sink.list_parts())
    assert parts[2] == "part_10"
    assert [parts[sink.part_fn(str(index)) % 12] for index in range(14)] == [
        *(f"part_{index}" for index in range(12)),
        "part_0",
        "part_1",
    ]


def test_files_need_names_of_their_own() -> None:
    with pytest.raises(ValueError, match="its own name"):
        DirSink("out", 2, lambda _index, _count: "same")
    with pytest.raises(ValueError, match="0 files"):
        DirSink("out", 0)
