import os
from pathlib import Path
from unittest import mock

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.connectors import blocks
from engine.connectors.files import DirSource, FileSource
from engine.errors import FlowNotFoundError
from tests.engine.connectors.reading import interrupted, open_part, rest_of

# What ends a line, what only looks like it in `str.splitlines`, and characters of 1 to 4 bytes.
texts = st.text(st.sampled_from("ab\n\r\u2028\x0b\x85é€😀"), max_size=60)
# Sizes below the length of a line put a boundary everywhere.
block_sizes = st.sampled_from([1, 2, 3, 7, 65536])


def lines_of(path: Path) -> list[str]:
    with path.open(encoding="utf-8") as file:
        return [line.removesuffix("\n") for line in file]


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("lines") / "lines.txt"


@given(texts, block_sizes, st.integers(1, 5))
def test_gives_the_lines_that_a_text_file_has(
    path: Path, text: str, block_size: int, batch_size: int
) -> None:
    path.write_bytes(text.encode())
    with mock.patch.object(blocks, "BLOCK_BYTES", block_size):
        batches = rest_of(FileSource(path, batch_size))
    assert [line for batch in batches for line in batch] == lines_of(path)
    assert all(1 <= len(batch) <= batch_size for batch in batches)


@given(texts, block_sizes, st.integers(1, 5), st.integers(0, 20))
def test_a_resumed_partition_goes_on_where_the_first_was(
    path: Path, text: str, block_size: int, batch_size: int, batches: int
) -> None:
    path.write_bytes(text.encode())
    with mock.patch.object(blocks, "BLOCK_BYTES", block_size):
        assert interrupted(FileSource(path, batch_size), batches) == lines_of(path)


def test_a_line_may_be_longer_than_a_block(path: Path) -> None:
    lines = ["short", "x" * (3 * blocks.BLOCK_BYTES + 5), "é" * blocks.BLOCK_BYTES, "end"]
    path.write_text("\n".join(lines), encoding="utf-8")
    assert interrupted(FileSource(path, 1), 2) == lines


def test_a_file_is_known_by_its_path(path: Path) -> None:
    path.write_text("")
    assert FileSource(path).list_parts() == FileSource(str(path)).list_parts() == [str(path)]


def test_files_that_differ_by_host_are_told_apart(path: Path) -> None:
    path.write_text("here")
    source = FileSource(path, get_fs_id=lambda directory: f"host-of-{directory.name}")
    assert source.list_parts() == [f"host-of-{path.parent.name}::{path}"]
    assert rest_of(source) == [["here"]]


def test_an_id_of_a_file_system_cannot_hold_the_separator(path: Path) -> None:
    path.write_text("")
    with pytest.raises(ValueError, match="'a::b'"):
        FileSource(path, get_fs_id=lambda _: "a::b").list_parts()


def test_a_path_may_hold_the_separator(tmp_path: Path) -> None:
    (tmp_path / "a::b").write_text("line")
    assert rest_of(FileSource(tmp_path / "a::b")) == [["line"]]
    assert rest_of(DirSource(tmp_path)) == [["line"]]


def test_a_file_on_no_host_is_refused(tmp_path: Path) -> None:
    source = FileSource(tmp_path / "missing.txt")
    assert source.list_parts() == []
    with pytest.raises(FlowNotFoundError, match=str(tmp_path / "missing.txt")):
        source.on_no_parts()


def test_the_state_of_another_file_is_refused(path: Path) -> None:
    with pytest.raises(ValueError, match=r"other\.txt"):
        FileSource(path).build_part("flow.inp", "other.txt", None)


def test_a_file_that_is_gone_is_named(tmp_path: Path) -> None:
    gone = tmp_path / "gone.txt"
    with pytest.raises(FileNotFoundError, match=r"gone\.txt"):
        FileSource(gone).build_part("flow.inp", str(gone), None)


def test_a_file_that_became_shorter_is_refused(path: Path) -> None:
    path.write_text("a\n")
    with pytest.raises(ValueError, match="byte 10: it has 2 bytes now"):
        FileSource(path).build_part("flow.inp", str(path), 10)


def test_lines_that_were_added_are_read_after_a_resume(path: Path) -> None:
    path.write_text("a\n")
    part = open_part(FileSource(path))
    assert part.next_batch() == ["a"]
    with pytest.raises(StopIteration):
        part.next_batch()
    position = part.snapshot()
    part.close()
    with path.open("a") as file:
        file.write("b\n")
    assert rest_of(FileSource(path), position) == [["b"]]


def test_what_is_not_utf8_is_an_error_that_names_the_file(path: Path) -> None:
    path.write_bytes(b"fine\n\xff\n")
    part = open_part(FileSource(path))
    with pytest.raises(UnicodeDecodeError) as caught:
        part.next_batch()
    part.close()
    assert str(path) in caught.value.__notes__[0]


def test_a_batch_of_a_pipe_holds_what_has_been_written(tmp_path: Path) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    # Opened both ways, a pipe needs no other end.
    writer = os.open(fifo, os.O_RDWR)
    part = open_part(FileSource(fifo))
    os.write(writer, b"first\nsecond\n")
    assert part.next_batch() == ["first", "second"]
    part.close()
    os.close(writer)


@pytest.mark.parametrize("source", [FileSource, DirSource])
def test_a_batch_holds_at_least_one_line(source: type[FileSource | DirSource]) -> None:
    with pytest.raises(ValueError, match="batch_size is 0"):
        source("path", batch_size=0)


def test_a_directory_has_a_partition_for_each_matching_file(tmp_path: Path) -> None:
    (tmp_path / "folder.txt").mkdir()
    for name in ("b.txt", "a.txt", "c.csv", "folder.txt/d.txt"):
        (tmp_path / name).write_text(f"{name}\n")
    assert DirSource(tmp_path).list_parts() == ["a.txt", "b.txt", "c.csv"]
    source = DirSource(tmp_path, "**/*.txt")
    assert source.list_parts() == ["a.txt", "b.txt", "folder.txt/d.txt"]
    assert [rest_of(source, part=part) for part in source.list_parts()] == [
        [["a.txt"]],
        [["b.txt"]],
        [["folder.txt/d.txt"]],
    ]


def test_directories_that_differ_by_host_are_told_apart(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("line")
    source = DirSource(tmp_path, get_fs_id=lambda directory: directory.name)
    assert source.list_parts() == [f"{tmp_path.name}::a"]
    assert rest_of(source) == [["line"]]


def test_an_empty_directory_is_fine(tmp_path: Path) -> None:
    source = DirSource(tmp_path)
    assert source.list_parts() == []
    source.on_no_parts()


def test_a_directory_on_no_host_is_refused(tmp_path: Path) -> None:
    source = DirSource(tmp_path / "missing")
    assert source.list_parts() == []
    with pytest.raises(FlowNotFoundError, match=str(tmp_path / "missing")):
        source.on_no_parts()


def test_a_file_is_no_directory(path: Path) -> None:
    path.write_text("")
    with pytest.raises(NotADirectoryError, match=r"lines\.txt"):
        DirSource(path).list_parts()
