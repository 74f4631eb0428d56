"""One connection of the mesh as a state machine: bytes in, events and bytes out.

It owns no socket and no clock. Nothing that a peer sends is taken for a message, let alone
unpickled, before both sides have proved that they belong together.
"""

import math
from collections.abc import Callable, Mapping
from enum import Enum, auto
from struct import error as StructError  # noqa: N812  # it is an exception, not a constant
from typing import Any, assert_never

from engine.mesh import frames
from engine.mesh.events import (
    Closed,
    ControlMessage,
    Established,
    Event,
    ProtocolError,
    Refusal,
    Rejected,
    Silent,
)
from engine.mesh.frames import FrameError, Kind
from engine.mesh.handshake import Handshake
from engine.mesh.hello import Hello, Purpose
from engine.mesh.readers import MessageReader
from engine.mesh.sending import Buffer, SendQueue
from engine.messages import Barrier, Credit, Encoded, EndOfInput, RemoteMessage

__all__ = [
    "Closed",
    "Connection",
    "ControlMessage",
    "Established",
    "Event",
    "ProtocolError",
    "Refusal",
    "Rejected",
    "Silent",
]


class _State(Enum):
    HANDSHAKE = auto()
    ESTABLISHED = auto()
    CLOSED = auto()


def _read_control(body: bytearray) -> ControlMessage:
    return ControlMessage(frames.read_json(body))


def _pass_over(_: bytearray) -> None:
    return None


_Decoders = Mapping[int, Callable[[bytearray], Event | None]]
_CONTROL: _Decoders = {Kind.CONTROL: _read_control, Kind.HEARTBEAT: _pass_over}
_DATA: _Decoders = {
    Kind.DATA: frames.read_data,
    Kind.BARRIER: frames.read_barrier,
    Kind.END: frames.read_end,
    Kind.CREDIT: frames.read_credit,
}
_READERS: Mapping[Purpose, tuple[_Decoders, int]] = {
    "control": (_CONTROL, 1 << 14),
    "data": (_DATA, 1 << 18),
    "probe": ({}, 1 << 6),
}
"""By purpose: the frames that may come, and how many bytes to receive at once."""

_WASTE = memoryview(bytearray(1 << 14))
"""Where closed connections receive what nobody looks at."""


class Connection:
    """One connection, seen from one of its two ends.

    Args:
        hello: What this process says; a dialer sets its `purpose` and `to`.
        dialer: Whether this end has dialed.
        secret: Shared secret of the cluster.
        now: Monotonic seconds, here and in every method.
        handshake_limit: Seconds until both sides have to have accepted.
        heartbeat_limit: Seconds without a byte after which a control connection is `Silent`.
        refuse: Says why a process that belongs here may not connect, if it may not.
    """

    def __init__(
        self,
        hello: Hello,
        *,
        dialer: bool,
        secret: bytes | None,
        now: float,
        handshake_limit: float = 10.0,
        heartbeat_limit: float = 30.0,
        refuse: Callable[[Hello], Refusal | None] = lambda _: None,
    ) -> None:
        self._queue = SendQueue()
        self._send = self._queue.append
        self._handshake = Handshake(
            hello, dialer=dialer, secret=secret, refuse=refuse, send=self._send
        )
        self._reader: Handshake | MessageReader[Event] = self._handshake
        self._state = _State.HANDSHAKE
        self._handshake_limit = handshake_limit
        self._handshake_end = now + handshake_limit
        self._heartbeat_limit = heartbeat_limit
        self._heartbeats = False
        self._last_heard = now
        self._next_heartbeat = math.inf

    @property
    def hello(self) -> Hello:
        """What this side says."""
        return self._handshake.hello

    @property
    def peer(self) -> Hello | None:
        """What the other side has said, proved or not."""
        return self._handshake.peer

    @property
    def established(self) -> bool:
        """Whether both sides have accepted each other, and the connection is not closed."""
        return self._state is _State.ESTABLISHED

    @property
    def silent(self) -> bool:
        """Whether the peer has not sent a byte so far."""
        return self._handshake.silent

    @property
    def last_heard(self) -> float:
        """When the last bytes came, in monotonic seconds."""
        return self._last_heard

    @property
    def pending(self) -> int:
        """Bytes that wait to be sent."""
        return self._queue.pending

    def certify(self, processes: frozenset[int]) -> None:
        """Take note of the process IDs that the peer's certificate names."""
        self._handshake.certified = processes

    def get_buffer(self) -> memoryview:
        """Where the next bytes shall be received; never empty."""
        return _WASTE if self._state is _State.CLOSED else self._reader.get_buffer()

    def received(self, count: int, now: float) -> list[Event]:
        """Take `count` bytes that were put into the buffer."""
        events: list[Event] = []
        if self._state is _State.CLOSED:
            return events
        self._last_heard = now
        try:
            if isinstance(self._reader, MessageReader):
                self._reader.received(count, events)
            elif event := self._reader.received(count):
                self._end_handshake(event, now)
                events.append(event)
        except FrameError as error:
            events.append(self._fail(str(error)))
        except StructError:
            events.append(self._fail("it sent a frame of the wrong length"))
        except MemoryError:
            events.append(self._fail("it sent a frame that does not fit into memory"))
        return events

    def closed(self, reason: str = "connection closed") -> list[Event]:
        """Take note that no more bytes will come."""
        if self._state is _State.CLOSED:
            return []
        if self._state is _State.HANDSHAKE:
            reason += " before it said anything" if self.silent else " during the handshake"
        self._state = _State.CLOSED
        return [Closed(reason)]

    def tick(self, now: float) -> list[Event]:
        """Send a heartbeat if one is due, and judge the time limits."""
        if self._state is _State.HANDSHAKE and now >= self._handshake_end:
            seconds = f"{self._handshake_limit:g} s"
            if self.silent:
                return [self._fail(f"it said nothing for {seconds}")]
            return [self._fail(f"its handshake was not done after {seconds}")]
        if self._state is _State.ESTABLISHED and self._heartbeats:
            silence = now - self._last_heard
            if silence >= self._heartbeat_limit:
                self._state = _State.CLOSED
                return [Silent(silence)]
            if now >= self._next_heartbeat:
                self._send(frames.frame(Kind.HEARTBEAT))
                self._next_heartbeat = now + min(self._heartbeat_limit / 4, 5.0)
        return []

    def next_tick(self) -> float:
        """When `tick` has something to do; infinity if never."""
        if self._state is _State.HANDSHAKE:
            return self._handshake_end
        if self._state is _State.ESTABLISHED and self._heartbeats:
            return min(self._next_heartbeat, self._last_heard + self._heartbeat_limit)
        return math.inf

    def send_control(self, message: dict[str, Any]) -> None:
        """Queue a message on a control connection."""
        self._send(frames.json_frame(Kind.CONTROL, message))

    def send(self, message: RemoteMessage) -> None:
        """Queue a message on a data connection; buffers of data must not change until sent."""
        match message:
            case Encoded():
                for piece in frames.data_frame(message):
                    self._send(piece)
            case Barrier(channel, epoch):
                self._send(frames.barrier_frame(channel, epoch))
            case EndOfInput(channel):
                self._send(frames.end_frame(channel))
            case Credit(channel, amount):
                self._send(frames.credit_frame(channel, amount))
            case _:
                assert_never(message)

    def to_send(self) -> list[Buffer]:
        """Buffers to be sent, oldest first, and no more of them than one `sendmsg` takes."""
        return self._queue.to_send()

    def sent(self, count: int) -> None:
        """Drop `count` bytes, which have been sent."""
        self._queue.sent(count)

    def _end_handshake(self, event: Established | Rejected, now: float) -> None:
        if isinstance(event, Rejected):
            self._state = _State.CLOSED
            return
        purpose = self.hello.purpose
        self._reader = MessageReader(*_READERS[purpose])
        self._state = _State.ESTABLISHED
        self._heartbeats = purpose == "control"
        self._next_heartbeat = now

    def _fail(self, reason: str) -> ProtocolError:
        self._state = _State.CLOSED
        return ProtocolError(reason)
