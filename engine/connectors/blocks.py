"""Read a file in blocks of whole lines, with the byte offset at which each line ends."""

import os
from itertools import accumulate
from pathlib import Path

BLOCK_BYTES = 65536


class LineBlocks:
    r"""A file, cut into blocks of whole lines.

    A line ends with `\n`, `\r\n` or `\r`, as in Python's text files; the last one needs no end.
    In UTF-8 no part of another character looks like one of these, so that the file can be cut
    before it is decoded.

    Args:
        path: The file.
        offset: Byte to begin at, where a line begins.

    Raises:
        OSError: If it cannot be opened.
        ValueError: If the file ends before the offset.
    """

    def __init__(self, path: Path, offset: int = 0) -> None:
        self.path = path
        # Unbuffered: a block is large enough, and a pipe gives what it has.
        self._file = path.open("rb", buffering=0)
        self._begin = offset
        self._block = b""
        self._rest = b""
        self._ends: list[int] | None = None
        if offset:
            size = os.fstat(self._file.fileno()).st_size
            if size < offset:
                self._file.close()
                msg = (
                    f"cannot resume reading {str(path)!r} from byte {offset}: "
                    f"it has {size} bytes now"
                )
                raise ValueError(msg)
            self._file.seek(offset)

    def next_block(self) -> bytes:
        """Read whole lines, at least one; empty at the end of the file."""
        self._begin += len(self._block)
        self._ends = None
        data, self._rest = self._rest, b""
        end = 0
        # A line longer than a block doubles what is read next: linear in its length.
        while not end and (read := self._file.read(max(BLOCK_BYTES, len(data)))):
            data += read
            # A last `\r` may be the first half of `\r\n`.
            end = data.rfind(b"\n") + 1 or data.rfind(b"\r", 0, -1) + 1
        if end:
            data, self._rest = data[:end], data[end:]
        self._block = data
        return data

    def offset_after(self, lines: int) -> int:
        """Byte offset in the file at which the next line begins.

        Args:
            lines: How many lines of the last block come before it.
        """
        if self._ends is None:
            lengths = map(len, self._block.splitlines(keepends=True))
            self._ends = list(accumulate(lengths, initial=self._begin))
        return self._ends[lines]

    def explain(self, error: Exception) -> None:
        """Add to an error where in the file it came up."""
        error.add_note(
            f"in {str(self.path)!r}, bytes {self._begin} to {self._begin + len(self._block)}"
        )

    def close(self) -> None:
        """Close the file."""
        self._file.close()
