"""Read text files; the public names are in `engine.connectors.files`."""

import errno
from abc import abstractmethod
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from engine.connectors.blocks import LineBlocks
from engine.errors import FlowNotFoundError
from engine.inputs import FixedPartitionedSource, StatefulSourcePartition

X = TypeVar("X")


def _part_name(path: Path, directory: Path, get_fs_id: Callable[[Path], str] | None) -> str:
    if get_fs_id is None:
        return str(path)
    fs_id = get_fs_id(directory)
    if "::" in fs_id:
        msg = f"`get_fs_id` returned {fs_id!r}; an ID has no '::' in it"
        raise ValueError(msg)
    return f"{fs_id}::{path}"


def _check_batch_size(batch_size: int) -> None:
    if batch_size < 1:
        msg = f"batch_size is {batch_size}; it has to be 1 or more"
        raise ValueError(msg)


class _LinesPartition(StatefulSourcePartition[str, int]):
    def __init__(self, path: Path, batch_size: int, resume_state: int | None) -> None:
        self._blocks = LineBlocks(path, resume_state or 0)
        self._batch_size = batch_size
        self._lines: list[str] = []
        self._taken = 0

    def next_batch(self) -> list[str]:
        if self._taken == len(self._lines):
            self._lines = self._decode(self._blocks.next_block())
            self._taken = 0
            if not self._lines:
                raise StopIteration
        lines = self._lines[self._taken : self._taken + self._batch_size]
        self._taken += len(lines)
        return lines

    def _decode(self, block: bytes) -> list[str]:
        try:
            text = block.decode()
        except UnicodeDecodeError as error:
            self._blocks.explain(error)
            raise
        if "\r" in text:
            text = text.replace("\r\n", "\n").replace("\r", "\n")
        # Not `splitlines`: it also cuts at characters like U+2028, which do not end a line.
        lines = text.split("\n")
        if not lines[-1]:
            lines.pop()
        return lines

    def snapshot(self) -> int:
        return self._blocks.offset_after(self._taken)

    def close(self) -> None:
        self._blocks.close()


class OneFileSource(FixedPartitionedSource[X, int]):
    """What reading one file has in common, whatever is in it."""

    def __init__(
        self,
        path: Path | str,
        batch_size: int = 1000,
        get_fs_id: Callable[[Path], str] | None = None,
    ) -> None:
        _check_batch_size(batch_size)
        self._path = Path(path)
        self._batch_size = batch_size
        self._get_fs_id = get_fs_id

    def list_parts(self) -> list[str]:
        """Name the file, if this worker has it.

        Raises:
            ValueError: If `get_fs_id` returned an ID with `::` in it.
        """
        return [self._part_name()] if self._path.exists() else []

    def _part_name(self) -> str:
        return _part_name(self._path, self._path.parent, self._get_fs_id)

    def on_no_parts(self) -> None:
        """Refuse to read nothing.

        Raises:
            FlowNotFoundError: Always; it is a `FileNotFoundError`.
        """
        msg = f"input file {str(self._path.absolute())!r} is on no host of the cluster"
        raise FlowNotFoundError(msg)

    def build_part(
        self,
        step_id: str,  # noqa: ARG002
        for_part: str,
        resume_state: int | None,
    ) -> StatefulSourcePartition[X, int]:
        """Open the file.

        Raises:
            OSError: If it cannot be opened.
            ValueError: If the partition is another file, or the file has become shorter than
                what was read of it.
        """
        if for_part != self._part_name():
            msg = f"partition {for_part!r} is not the file {str(self._path)!r}"
            raise ValueError(msg)
        return self._open(resume_state)

    @abstractmethod
    def _open(self, resume_state: int | None) -> StatefulSourcePartition[X, int]: ...


class FileSource(OneFileSource[str]):
    r"""The lines of a file, without their ends.

    The file is one partition, known by its path as it is written here. One worker reads it:
    hosts that have a file at this path are taken to have the same one. A position is a byte
    offset, so that every line is read once.

    Lines end with `\n`, `\r\n` or `\r`. If no host has the file, the run is refused.

    Args:
        path: The file.
        batch_size: Lines in a batch at most.
        get_fs_id: Marks files that differ by host, which are then all read: gets the file's
            directory, returns an ID of its file system that lasts and has no `::` in it.

    Raises:
        ValueError: If the batch size is less than 1.

    >>> import tempfile
    >>> from pathlib import Path
    >>> folder = tempfile.TemporaryDirectory()
    >>> path = Path(folder.name, "words.txt")
    >>> _ = path.write_text("to\nbe\nor\n")
    >>> source = FileSource(path, batch_size=2)
    >>> source.list_parts() == [str(path)]
    True
    >>> part = source.build_part("flow.inp", str(path), None)
    >>> part.next_batch(), part.snapshot()
    (['to', 'be'], 6)
    >>> part.close()
    >>> folder.cleanup()
    """

    def _open(self, resume_state: int | None) -> StatefulSourcePartition[str, int]:
        return _LinesPartition(self._path, self._batch_size, resume_state)


class DirSource(FixedPartitionedSource[str, int]):
    """The lines of all files in a directory, as `FileSource` gives them.

    Each file is a partition, known by its path in the directory; files of equal path on several
    hosts are taken to be the same. No file is no error, but no directory is one.

    Args:
        dir_path: The directory.
        glob_pat: Pattern of the files to read.
        batch_size: Lines in a batch at most.
        get_fs_id: As for `FileSource`; gets the directory.

    Raises:
        ValueError: If the batch size is less than 1.

    >>> import tempfile
    >>> from pathlib import Path
    >>> folder = tempfile.TemporaryDirectory()
    >>> _ = Path(folder.name, "b.txt").write_text("2"), Path(folder.name, "a.txt").write_text("1")
    >>> DirSource(folder.name, "*.txt").list_parts()
    ['a.txt', 'b.txt']
    >>> folder.cleanup()
    """

    def __init__(
        self,
        dir_path: Path | str,
        glob_pat: str = "*",
        batch_size: int = 1000,
        get_fs_id: Callable[[Path], str] | None = None,
    ) -> None:
        _check_batch_size(batch_size)
        self._dir_path = Path(dir_path)
        self._glob_pat = glob_pat
        self._batch_size = batch_size
        self._get_fs_id = get_fs_id

    def list_parts(self) -> list[str]:
        """Name the files that this worker has.

        Raises:
            NotADirectoryError: If the path is something else than a directory.
            ValueError: If `get_fs_id` returned an ID with `::` in it.
        """
        if not self._dir_path.is_dir():
            if self._dir_path.exists():
                raise NotADirectoryError(
                    errno.ENOTDIR, "input directory is not a directory", str(self._dir_path)
                )
            return []
        return [
            _part_name(path.relative_to(self._dir_path), self._dir_path, self._get_fs_id)
            for path in sorted(self._dir_path.glob(self._glob_pat))
            if path.is_file()
        ]

    def on_no_parts(self) -> None:
        """Refuse to read a directory that is not there.

        Raises:
            FlowNotFoundError: If this host has no such directory.
        """
        if not self._dir_path.is_dir():
            msg = f"input directory {str(self._dir_path.absolute())!r} is not there"
            raise FlowNotFoundError(msg)

    def build_part(
        self,
        step_id: str,  # noqa: ARG002
        for_part: str,
        resume_state: int | None,
    ) -> StatefulSourcePartition[str, int]:
        """Open one of the files.

        Raises:
            OSError: If it cannot be opened.
            ValueError: If it has become shorter than what was read of it.
        """
        name = for_part if self._get_fs_id is None else for_part.partition("::")[2]
        return _LinesPartition(self._dir_path / name, self._batch_size, resume_state)
