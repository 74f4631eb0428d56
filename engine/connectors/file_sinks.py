"""Write text files; the public names are in `engine.connectors.files`."""

import errno
import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from zlib import adler32

from engine.errors import CannotWriteError
from engine.outputs import FixedPartitionedSink, StatefulSinkPartition


class _FileSinkPartition(StatefulSinkPartition[str, int]):
    def __init__(self, path: Path, end: str, resume_state: int | None) -> None:
        self._path = path
        self._end = end
        self._offset = resume_state or 0
        try:
            self._file = path.open("ab")
        except FileNotFoundError:
            if path.parent.is_dir():
                raise
            raise FileNotFoundError(
                errno.ENOENT,
                f"output directory of {path.name!r} does not exist",
                str(path.parent.absolute()),
            ) from None
        # A pipe or a terminal has no length, and nothing that could be synchronised.
        status = os.fstat(self._file.fileno())
        self._is_regular = stat.S_ISREG(status.st_mode)
        if self._is_regular:
            if status.st_size < self._offset:
                self._file.close()
                msg = (
                    f"cannot resume writing {str(path)!r} at byte {self._offset}: "
                    f"it has {status.st_size} bytes now"
                )
                raise ValueError(msg)
            self._file.truncate(self._offset)
        self._synced = self._offset

    def write_batch(self, values: list[str]) -> None:
        data = (self._end.join(values) + self._end).encode() if values else b""
        with _writing(self._path):
            self._file.write(data)
        self._offset += len(data)

    def snapshot(self) -> int:
        with _writing(self._path):
            self._file.flush()
            if self._is_regular and self._synced != self._offset:
                # Resuming relies on these bytes, after a power failure as well.
                os.fsync(self._file.fileno())
                self._synced = self._offset
        return self._offset

    def close(self) -> None:
        with _writing(self._path):
            self._file.close()


@contextmanager
def _writing(path: Path) -> Iterator[None]:
    """Name the file in the error of a disk that is full or broken."""
    try:
        yield
    except OSError as error:
        msg = f"cannot write {str(path)!r}: {error.strerror}"
        raise CannotWriteError(msg) from error


class FileSink(FixedPartitionedSink[str, int]):
    r"""Writes the values of `(key, value)` items to a file, each followed by an end.

    One worker writes it. A run begins with an empty file; one that resumes cuts the file back to
    its position, so that every value is there once. What was written is in the file at the
    latest with the epoch's snapshot.

    Args:
        path: The file; its directory has to be there.
        end: What follows each value.

    >>> import tempfile
    >>> from pathlib import Path
    >>> folder = tempfile.TemporaryDirectory()
    >>> path = Path(folder.name, "out.txt")
    >>> part = FileSink(path).build_part("flow.out", str(path), None)
    >>> part.write_batch(["a", "b"])
    >>> part.snapshot(), path.read_text()
    (4, 'a\nb\n')
    >>> part.close()
    >>> folder.cleanup()
    """

    def __init__(self, path: Path | str, end: str = "\n") -> None:
        self._path = Path(path)
        self._end = end

    def list_parts(self) -> list[str]:
        """Name the file."""
        return [str(self._path)]

    def part_fn(self, item_key: str) -> int:  # noqa: ARG002
        """Pick the only file."""
        return 0

    def build_part(
        self,
        step_id: str,  # noqa: ARG002
        for_part: str,
        resume_state: int | None,
    ) -> StatefulSinkPartition[str, int]:
        """Open the file.

        Raises:
            OSError: If it cannot be opened or made.
            ValueError: If the partition is another file, or the file has become shorter than
                what was written of it.
        """
        if for_part != str(self._path):
            msg = f"partition {for_part!r} is not the file {str(self._path)!r}"
            raise ValueError(msg)
        return _FileSinkPartition(self._path, self._end, resume_state)


def _name_by_index(index: int, file_count: int) -> str:  # noqa: ARG001
    return f"part_{index}"


def _checksum(key: str) -> int:
    return adler32(key.encode())


class DirSink(FixedPartitionedSink[str, int]):
    """Writes the values of `(key, value)` items to files in a directory, as `FileSink` does.

    Files are the unit of parallelism.

    Args:
        dir_path: The directory; it has to be there.
        file_count: How many files there are.
        file_namer: Gets a file's index and `file_count`; returns its name, unlike any other's.
        assign_file: Gets a key; returns the index, modulo `file_count`, of the file for it. It
            has to be the same in every process and every run, as `hash` is not.
        end: What follows each value.

    Raises:
        ValueError: If there are no files, or two of one name.

    >>> DirSink("out", 2, file_namer=lambda index, count: f"{index}_of_{count}").list_parts()
    ['0_of_2', '1_of_2']
    """

    def __init__(
        self,
        dir_path: Path | str,
        file_count: int,
        file_namer: Callable[[int, int], str] = _name_by_index,
        assign_file: Callable[[str], int] = _checksum,
        end: str = "\n",
    ) -> None:
        names = [file_namer(index, file_count) for index in range(file_count)]
        if not names or len(set(names)) != len(names):
            msg = f"{file_count} files are named {names}; there has to be one, each its own name"
            raise ValueError(msg)
        self._dir_path = Path(dir_path)
        self._names = names
        # Partitions are counted in the order of their names: part_10 comes before part_2.
        self._partition_of_file = [sorted(names).index(name) for name in names]
        self._assign_file = assign_file
        self._end = end

    def list_parts(self) -> list[str]:
        """Name the files."""
        return list(self._names)

    def part_fn(self, item_key: str) -> int:
        """Pick the file that `assign_file` says."""
        return self._partition_of_file[self._assign_file(item_key) % len(self._names)]

    def build_part(
        self,
        step_id: str,  # noqa: ARG002
        for_part: str,
        resume_state: int | None,
    ) -> StatefulSinkPartition[str, int]:
        """Open one of the files.

        Raises:
            OSError: If it cannot be opened or made.
            ValueError: If it has become shorter than what was written of it.
        """
        return _FileSinkPartition(self._dir_path / for_part, self._end, resume_state)
