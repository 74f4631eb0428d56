"""Read CSV files; the public name is in `engine.connectors.files`."""

import csv
from collections.abc import Callable, Iterator, Sequence
from itertools import chain, islice
from pathlib import Path
from typing import Any

from engine.connectors.blocks import LineBlocks
from engine.connectors.file_sources import OneFileSource
from engine.inputs import StatefulSourcePartition

Row = dict[str, str]


class _RowsPartition(StatefulSourcePartition[Row, int]):
    """Rows as `csv.DictReader` gives them, with the offset of the next one."""

    def __init__(
        self,
        path: Path,
        batch_size: int,
        resume_state: int | None,
        fieldnames: Sequence[str] | None,
        restkey: str | None,
        restval: str | None,
        fmtparams: dict[str, Any],
    ) -> None:
        self._batch_size = batch_size
        self._restkey: Any = restkey
        self._restval: Any = restval
        self._fmtparams = fmtparams
        self._read_from(path, 0)
        # Even a resumed partition reads the header from the begin of the file.
        self._header = list(self._read_header() if fieldnames is None else fieldnames)
        if resume_state:
            self._blocks.close()
            self._read_from(path, resume_state)

    def _read_from(self, path: Path, offset: int) -> None:
        self._blocks = LineBlocks(path, offset)
        self._lines_before_block = 0
        self._reader = csv.reader(chain.from_iterable(self._lines()), **self._fmtparams)
        # `csv.DictReader` skips empty rows, too.
        self._rows = filter(None, self._reader)

    def _read_header(self) -> list[str]:
        try:
            return next(self._reader, [])
        except (csv.Error, UnicodeDecodeError) as error:
            self._blocks.explain(error)
            self._blocks.close()
            raise

    def _lines(self) -> Iterator[Iterator[str]]:
        """The lines of each block; the next block is read once the reader needs its first line."""
        while True:
            block = self._blocks.next_block()
            self._lines_before_block = self._reader.line_num
            if not block:
                return
            yield map(bytes.decode, block.splitlines(keepends=True))

    def next_batch(self) -> list[Row]:
        header, width = self._header, len(self._header)
        try:
            rows = [
                dict(zip(header, row, strict=False)) if len(row) == width else self._ragged(row)
                for row in islice(self._rows, self._batch_size)
            ]
        except (csv.Error, UnicodeDecodeError) as error:
            self._blocks.explain(error)
            raise
        if not rows:
            raise StopIteration
        return rows

    def _ragged(self, row: list[str]) -> Row:
        item: dict[Any, Any] = dict(zip(self._header, row, strict=False))
        width = len(self._header)
        if len(row) > width:
            item[self._restkey] = row[width:]
        else:
            item.update(dict.fromkeys(self._header[len(row) :], self._restval))
        return item

    def snapshot(self) -> int:
        # The reader takes no line before a row needs it, so that it has read whole rows.
        return self._blocks.offset_after(self._reader.line_num - self._lines_before_block)

    def close(self) -> None:
        self._blocks.close()


class CSVSource(OneFileSource[Row]):
    r"""The rows of a CSV file, as `csv.DictReader` gives them: dicts by column name.

    Partition, position and a missing file are those of `FileSource`. A field in quotes may
    hold line ends.

    Args:
        path: The file.
        batch_size: Rows in a batch at most.
        get_fs_id: As for `FileSource`.
        fieldnames: Column names; by default the first row.
        restkey: Key of the list of fields that a row has too many.
        restval: Value for the fields that a row has too few.
        **fmtparams: Arguments of `csv.reader`, `dialect` among them.

    Raises:
        TypeError: If `csv.reader` does not take such an argument.
        ValueError: If the batch size is less than 1.

    >>> import tempfile
    >>> from pathlib import Path
    >>> folder = tempfile.TemporaryDirectory()
    >>> path = Path(folder.name, "ports.csv")
    >>> _ = path.write_text("code;name\nEWR;Newark\n")
    >>> source = CSVSource(path, delimiter=";")
    >>> part = source.build_part("flow.inp", str(path), None)
    >>> part.next_batch()
    [{'code': 'EWR', 'name': 'Newark'}]
    >>> part.close()
    >>> folder.cleanup()
    """

    def __init__(
        self,
        path: Path | str,
        batch_size: int = 1000,
        get_fs_id: Callable[[Path], str] | None = None,
        *,
        fieldnames: Sequence[str] | None = None,
        restkey: str | None = None,
        restval: str | None = None,
        **fmtparams: Any,
    ) -> None:
        super().__init__(path, batch_size, get_fs_id)
        # An argument that is wrong shows here, where the flow is described.
        csv.reader((), **fmtparams)
        self._fieldnames = fieldnames
        self._restkey = restkey
        self._restval = restval
        self._fmtparams = fmtparams

    def _open(self, resume_state: int | None) -> StatefulSourcePartition[Row, int]:
        return _RowsPartition(
            self._path,
            self._batch_size,
            resume_state,
            self._fieldnames,
            self._restkey,
            self._restval,
            self._fmtparams,
        )
