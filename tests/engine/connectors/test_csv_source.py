import csv
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.connectors import blocks
from engine.connectors.files import CSVSource
from engine.errors import FlowNotFoundError
from tests.engine.connectors.reading import interrupted, open_part, rest_of

fields = st.text(st.sampled_from('ab,"\n\r\u2028é😀'), max_size=4)
tables = st.lists(st.lists(fields, max_size=4), max_size=8)
block_sizes = st.sampled_from([1, 3, 7, 65536])

Rows = list[dict[Any, Any]] | str


def rows_of(path: Path, **arguments: Any) -> Rows:
    """What `csv.DictReader` gives, or its error."""
    with path.open(encoding="utf-8", newline="") as file:
        try:
            return list(csv.DictReader(file, **arguments))
        except csv.Error as error:
            return str(error)


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("rows") / "rows.csv"


@given(tables, block_sizes, st.integers(1, 3), st.integers(0, 8), st.sampled_from(["\n", "\r\n"]))
def test_gives_the_rows_of_a_dict_reader_across_an_interruption(
    path: Path,
    table: list[list[str]],
    block_size: int,
    batch_size: int,
    batches: int,
    end: str,
) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file, lineterminator=end).writerows(table)
    with mock.patch.object(blocks, "BLOCK_BYTES", block_size):
        assert interrupted(CSVSource(path, batch_size), batches) == rows_of(path)


@given(st.text(st.sampled_from('ab,"\n\r é'), max_size=40), block_sizes, st.integers(0, 8))
def test_gives_what_a_dict_reader_gives_for_any_text(
    path: Path, text: str, block_size: int, batches: int
) -> None:
    path.write_bytes(text.encode())
    with mock.patch.object(blocks, "BLOCK_BYTES", block_size):
        rows: Rows
        try:
            rows = interrupted(CSVSource(path, batch_size=1), batches)
        except csv.Error as error:
            rows = str(error)
        assert rows == rows_of(path)


@pytest.mark.parametrize(
    "arguments",
    [
        {"fieldnames": ["x", "y"]},
        {"restkey": "more", "restval": "none"},
        {"delimiter": ";", "quotechar": "'"},
        {"dialect": "excel-tab"},
    ],
)
def test_arguments_are_those_of_a_dict_reader(path: Path, arguments: dict[str, Any]) -> None:
    path.write_text("a,b\n1,2,3,4\n5\n6;'7;8'\n9\t10\n")
    assert interrupted(CSVSource(path, 1, **arguments), 1) == rows_of(path, **arguments)


def test_a_batch_holds_as_many_rows_as_asked_for(path: Path) -> None:
    path.write_text("a\n1\n\n2\n\n\n3\n")
    batches = rest_of(CSVSource(path, batch_size=2))
    assert batches == [[{"a": "1"}, {"a": "2"}], [{"a": "3"}]]


def test_an_argument_that_no_reader_has_shows_when_the_flow_is_described() -> None:
    with pytest.raises(TypeError, match="delimeter"):
        CSVSource("rows.csv", delimeter=";")


def test_a_file_on_no_host_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FlowNotFoundError, match=r"missing\.csv"):
        CSVSource(tmp_path / "missing.csv").on_no_parts()


def test_a_row_that_cannot_be_parsed_is_an_error_that_names_the_file(path: Path) -> None:
    path.write_text('a\n1\n"2"x\n')
    part = open_part(CSVSource(path, strict=True))
    with pytest.raises(csv.Error) as caught:
        part.next_batch()
    part.close()
    assert str(path) in caught.value.__notes__[0]


def test_a_header_that_is_not_utf8_is_an_error_that_names_the_file(path: Path) -> None:
    path.write_bytes(b"a\xff\n")
    with pytest.raises(UnicodeDecodeError) as caught:
        open_part(CSVSource(path))
    assert str(path) in caught.value.__notes__[0]
