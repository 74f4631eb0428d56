"""What waits to be sent on a connection."""

from collections import deque
from itertools import islice

Buffer = bytes | bytearray | memoryview

_BUFFERS_AT_ONCE = 512  # sendmsg takes 1,024 on Linux and macOS
_LONGEST_COPIED = 1 << 14
_LONGEST_JOINED = 1 << 16


class SendQueue:
    """Bytes in order: short pieces are joined, long ones are kept as they are."""

    def __init__(self) -> None:
        self.pending = 0
        """Bytes that wait."""
        self._buffers: deque[Buffer] = deque()
        self._tail: bytearray | None = None
        self._offset = 0

    def append(self, piece: bytes | memoryview) -> None:
        """Add bytes; a long piece must not change until it is sent."""
        size = len(piece)
        self.pending += size
        if size > _LONGEST_COPIED:
            self._buffers.append(piece)
            self._tail = None
        elif self._tail is None or len(self._tail) > _LONGEST_JOINED:
            self._tail = bytearray(piece)
            self._buffers.append(self._tail)
        else:
            self._tail += piece

    def to_send(self) -> list[Buffer]:
        """The oldest buffers, no more than one `sendmsg` takes."""
        self._tail = None  # the caller may hold views of it, so it cannot grow any more
        buffers = list(islice(self._buffers, _BUFFERS_AT_ONCE))
        if self._offset:
            buffers[0] = memoryview(buffers[0])[self._offset :]
        return buffers

    def sent(self, count: int) -> None:
        """Drop the oldest `count` bytes."""
        self.pending -= count
        buffers = self._buffers
        count += self._offset
        while buffers and count >= len(buffers[0]):
            count -= len(buffers.popleft())
        self._offset = count
