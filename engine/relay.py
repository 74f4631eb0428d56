"""Pass on what processes write, whole line by whole line, without ever waiting for a reader."""

import os
import select
import stat
from typing import Protocol

LINE_LIMIT = 1 << 20
"""Bytes of a line that are kept until its end comes; a longer one is broken there."""

_SAFE_WRITE = 4096
"""What can be written without waiting once a pipe, socket or terminal is writable."""

_LARGE = 1 << 20

_CONTINUES = range(0x80, 0xC0)
"""Bytes that continue a character of UTF-8."""

_CROWDED = 1 << 20
"""Bytes waiting for a reader, above which nothing more is read from processes."""


class Output:
    """Where lines go: a descriptor that others may share, so it stays in blocking mode.

    Args:
        fd: The descriptor.

    Attributes:
        broken: Why nothing can be written any more; what comes later is dropped.
        in_line: Whether what was written last lacks the end of its line.
    """

    def __init__(self, fd: int) -> None:
        self.fd = fd
        self.broken: OSError | None = None
        self.in_line = False
        self._waiting = bytearray()
        self._poll = select.poll()
        self._poll.register(fd, select.POLLOUT)
        mode = os.fstat(fd).st_mode
        slow = stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode) or os.isatty(fd)
        self._step = _SAFE_WRITE if slow else _LARGE

    @property
    def is_empty(self) -> bool:
        """Whether all was written."""
        return not self._waiting

    @property
    def is_crowded(self) -> bool:
        """Whether so much waits that no more should be read."""
        return len(self._waiting) > _CROWDED

    def write(self, data: bytes) -> None:
        """Queue bytes and write what can be written now."""
        if data and self.broken is None:
            self.in_line = not data.endswith(b"\n")
            self._waiting += data
            self.flush()

    def flush(self) -> None:
        """Write as much as can be written without waiting."""
        waiting = self._waiting
        try:
            while waiting and self._poll.poll(0):
                del waiting[: os.write(self.fd, waiting[: self._step])]
        except OSError as error:
            self.drop(error)

    def drop(self, reason: OSError) -> None:
        """Forget what waits, and all that comes later."""
        self.broken = reason
        self._waiting.clear()


class Writer(Protocol):
    """What takes the bytes that one process writes to one pipe."""

    @property
    def is_crowded(self) -> bool:
        """Whether it wants no more for now."""

    def write(self, data: bytes) -> None:
        """Take bytes."""

    def end(self) -> None:
        """Know that no more come."""


class Lines:
    """Passes on what one process writes to one stream.

    Args:
        output: Where it goes.
        prefix: What each line starts with.
        whole: Whether bytes wait for the end of their line; if not, they pass as they come.
    """

    def __init__(self, output: Output, prefix: bytes = b"", *, whole: bool = True) -> None:
        self._output = output
        self._prefix = prefix
        self._whole = whole
        self._tail = bytearray()

    @property
    def is_crowded(self) -> bool:
        """Whether its output is."""
        return self._output.is_crowded

    def write(self, data: bytes) -> None:
        """Pass on the lines that are whole now."""
        if not self._whole:
            self._output.write(data)
            return
        end = data.rfind(b"\n") + 1
        if end:
            lines = self._tail + data[:end] if self._tail else data[:end]
            self._tail[:] = data[end:]
            self._pass_on(lines)
            return
        self._tail += data
        while len(self._tail) > LINE_LIMIT:
            self._break()

    def end(self) -> None:
        """Pass on the rest, with a newline where the process left it out."""
        if self._tail:
            self._pass_on(self._tail + b"\n")
            self._tail.clear()

    def _break(self) -> None:
        end = LINE_LIMIT
        # Not inside of a character of UTF-8, which has at most 4 bytes.
        while end > LINE_LIMIT - 3 and self._tail[end] in _CONTINUES:
            end -= 1
        self._pass_on(self._tail[:end] + b"\n")
        del self._tail[:end]

    def _pass_on(self, lines: bytes | bytearray) -> None:
        if self._prefix:
            lines = self._prefix + lines[:-1].replace(b"\n", b"\n" + self._prefix) + b"\n"
        self._output.write(bytes(lines))


class Pipe:
    """The end that we read of a pipe that a process writes to.

    Args:
        fd: The descriptor, which is ours to close.
        writer: What takes the bytes.
    """

    def __init__(self, fd: int, writer: Writer) -> None:
        os.set_blocking(fd, False)
        self.fd = fd
        self.is_open = True
        self._writer = writer

    @property
    def wants_more(self) -> bool:
        """Whether to read when there is something to read."""
        return self.is_open and not self._writer.is_crowded

    def read(self) -> int:
        """Pass on what there is; give the number of bytes."""
        try:
            data = os.read(self.fd, _LARGE)
        except BlockingIOError:
            return 0
        if data:
            self._writer.write(data)
        else:
            self.close()
        return len(data)

    def close(self) -> None:
        """Take it that no more comes."""
        if self.is_open:
            self.is_open = False
            os.close(self.fd)
            self._writer.end()
