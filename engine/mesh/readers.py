"""Cut what arrives on a connection into frames.

A reader lends the memory that the next bytes are received into, and is told how many came.
"""

from collections.abc import Callable, Mapping
from typing import Generic, TypeVar

from engine.mesh.frames import HANDSHAKE_LIMITS, HEADER, PREAMBLE, FrameError, Kind

E = TypeVar("E")

_TLS_RECORDS = (b"\x15\x03", b"\x16\x03")


class HandshakeReader:
    """Reads a preamble and frames of a handshake, at most one frame with each call.

    It never takes a byte beyond the frame that it waits for, so that whoever owns an
    established connection finds all its messages unread. What it holds is no longer than what
    the peer has really sent, whatever length the peer has announced.
    """

    def __init__(self) -> None:
        self._lent = memoryview(bytearray(4096))
        self._got = bytearray()
        self._needed = len(PREAMBLE)
        self._greeted = False
        self._kind: Kind | None = None

    @property
    def silent(self) -> bool:
        """Whether nothing has come so far."""
        return not self._greeted and not self._got

    def get_buffer(self) -> memoryview:
        """Where the next bytes shall be received."""
        return self._lent[: self._needed - len(self._got)]

    def received(self, count: int) -> tuple[Kind, bytes] | None:
        """Take `count` bytes.

        Returns:
            The frame that they complete, if they complete one.

        Raises:
            FrameError: If the peer does not speak this protocol.
        """
        self._got += self._lent[:count]
        if not self._greeted:
            self._check_preamble()
        if len(self._got) < self._needed:
            return None
        body = bytes(self._got)
        self._got.clear()
        if not self._greeted:
            self._greeted = True
            self._needed = HEADER.size
            return None
        if self._kind is None:
            self._kind, self._needed = self._check_header(body)
            if self._needed:
                return None
            body = b""
        kind, self._kind, self._needed = self._kind, None, HEADER.size
        return kind, body

    def _check_preamble(self) -> None:
        if PREAMBLE.startswith(self._got):
            return
        if self._got.startswith(_TLS_RECORDS):
            msg = "it speaks TLS, and this process was given no certificate"
        else:
            msg = f"not a hostmesh peer (it sent {bytes(self._got)!r})"
        raise FrameError(msg)

    @staticmethod
    def _check_header(header: bytes) -> tuple[Kind, int]:
        number, length = HEADER.unpack(header)
        limit = HANDSHAKE_LIMITS.get(number)
        if limit is None:
            msg = f"it sent a frame of type {number} before it was accepted"
            raise FrameError(msg)
        if length > limit:
            msg = f"it announced a {Kind(number).name} of {length} bytes, and {limit} are allowed"
            raise FrameError(msg)
        return Kind(number), length


class MessageReader(Generic[E]):
    """Reads the frames of an established connection, many with each call.

    Args:
        decoders: By type, what makes an event of a body, or `None` to pass over it.
        capacity: Bytes to receive at once. A frame longer than a quarter of it that is not
            there as a whole is received into memory of its own, without another copy.
    """

    def __init__(
        self, decoders: Mapping[int, Callable[[bytearray], E | None]], capacity: int
    ) -> None:
        self._decoders = decoders
        self._capacity = capacity
        self._buffer = bytearray(capacity)
        self._view = memoryview(self._buffer)
        self._start = 0
        self._end = 0
        self._long: bytearray | None = None
        self._long_kind = 0
        self._long_filled = 0

    def get_buffer(self) -> memoryview:
        """Where the next bytes shall be received."""
        if self._long is not None:
            return memoryview(self._long)[self._long_filled :]
        return self._view[self._end :]

    def received(self, count: int, events: list[E]) -> None:
        """Take `count` bytes and append an event for each frame that they complete.

        Raises:
            FrameError: If a frame makes no sense here; events before it have been appended.
            struct.error: If a body is too short.
            MemoryError: If a frame is too long.
        """
        if self._long is not None:
            self._long_filled += count
            if self._long_filled == len(self._long):
                body, self._long = self._long, None
                event = self._decoder(self._long_kind)(body)
                if event is not None:
                    events.append(event)
            return
        self._end += count
        buffer, start, end = self._buffer, self._start, self._end
        header_size = HEADER.size
        unpack_header = HEADER.unpack_from
        try:
            while end - start >= header_size:
                kind, length = unpack_header(buffer, start)
                stop = start + header_size + length
                if stop > end:
                    if length > self._capacity // 4:
                        self._begin_long(kind, length, start + header_size)
                        start = end
                    break
                event = self._decoder(kind)(buffer[start + header_size : stop])
                if event is not None:
                    events.append(event)
                start = stop
        finally:
            self._start = start
        self._make_room()

    def _decoder(self, kind: int) -> Callable[[bytearray], E | None]:
        try:
            return self._decoders[kind]
        except KeyError:
            msg = f"it sent a frame of type {kind}, which may not come here"
            raise FrameError(msg) from None

    def _begin_long(self, kind: int, length: int, start: int) -> None:
        self._decoder(kind)
        body = bytearray(length)
        filled = self._end - start
        body[:filled] = self._view[start : self._end]
        self._long, self._long_kind, self._long_filled = body, kind, filled

    def _make_room(self) -> None:
        """Move a beginning of a frame to the front, seldom enough to copy no byte twice."""
        if self._start == self._end:
            self._start = self._end = 0
        elif self._end > self._capacity // 2:
            rest = self._view[self._start : self._end]
            self._start, self._end = 0, len(rest)
            self._view[: len(rest)] = rest
