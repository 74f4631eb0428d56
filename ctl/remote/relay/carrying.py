"""Carries one connection between an engine and the link to its peer's relay.

What is read from one side is sent to the other at once; as long as something waits to be sent, the
side that it came from is not read, so a connection takes a bounded amount of memory.
"""

import contextlib
import os
import socket
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from ctl.remote.connections import is_held
from ctl.remote.joined import Joined
from ctl.remote.relay.frames import HEADER_BYTES, Decoder, FrameError, Word, word, write_header
from ctl.remote.relay.joint import Do, Joint
from ctl.remote.relay.links import Dialing, Link
from ctl.remote.relay.loop import ENDED, GONE, IN, OUT, Loop, Timer
from ctl.remote.relay.sockets import WOULD_WAIT, Farewell, Outgoing, Place, begin, reset, tune
from ctl.remote.relay.tls import Tls, reason

CHUNK_BYTES = 512 << 10
"""What is read at once, and so about the most that waits in one direction of a connection."""

_FIRST_PAUSE, _LONGEST_PAUSE = 0.02, 0.5
_FAREWELL_SECONDS = 5.0
_LOOK_SECONDS = 1.0


def _buffer() -> memoryview:
    return memoryview(bytearray(CHUNK_BYTES))


@dataclass(frozen=True)
class Shared:
    """What all connections of a relay have in common.

    Args:
        loop: Their loop.
        engine: Where the engine of this process listens.
        locals: Where it dials each peer, which is also what it sees each come from.
        dial: Prepares an attempt to make the link to a peer.
        report: Is told why there is no link to a peer, or None once its engine is joined.
        joined: Shows which connections that an engine here has made have come to their peers.
        began: Is called with each connection, and each farewell to a part of it.
        done: The same at their ends.
        plain: Buffer for data as engines have it.
        received: Buffer for data as links have it.
    """

    loop: Loop
    engine: Place
    locals: Mapping[int, Place]
    dial: Callable[[int, Callable[[Link | str], None]], Dialing]
    report: Callable[[int, str | None], None]
    joined: Joined
    began: Callable[[object], None]
    done: Callable[[object], None]
    plain: memoryview = field(default_factory=_buffer)
    received: memoryview = field(default_factory=_buffer)


class Carrier:
    """One connection.

    Args:
        shared: What all have in common.
        peer: ID of the process at the other end.
        engine: The connection that the engine here has made, or None if the peer has made one.
    """

    def __init__(self, shared: Shared, peer: int, engine: socket.socket | None = None) -> None:
        self._shared, self._loop, self._peer = shared, shared.loop, peer
        self._joint = Joint(dials=engine is not None)
        self._engine = engine
        self._to_engine = None if engine is None else Outgoing(engine)
        self._link: socket.socket | None = None
        self._tls: Tls | None = None
        self._to_link: Outgoing | None = None
        self._decoder = Decoder()
        self._dialing: Dialing | None = None
        self._timer: Timer | None = None
        self._next_look: Timer | None = None
        self._shown: int | None = None
        self._pause = _FIRST_PAUSE
        self._is_muted = self._is_over = False
        self._heard = self._said = 0.0
        shared.began(self)

    def start(self, link: Link | None = None) -> None:
        """Begin, with the link if the peer has made it."""
        if self._engine is not None:
            tune(self._engine)
        if link is not None:
            self._take(link)
        self._do(self._joint.opened(self._loop.now))
        self._read_decrypted()
        self._settle()

    def tick(self) -> None:
        """See to it that both relays know of each other's life."""
        heard = None if self._to_engine else self._heard
        actions = self._joint.tick(self._loop.now, heard, self._said)
        if Do.RESET_LINK in actions:
            self._shared.report(self._peer, "nothing was heard of it for too long")
        self._do(actions)
        self._settle()

    # The engine.

    def _connect(self) -> None:
        sock = begin(self._shared.engine, self._shared.locals[self._peer][0])
        if sock is None:
            self._do(self._joint.refused())
            return
        self._engine = sock
        self._loop.watch(sock.fileno(), OUT, self._connected)

    def _connected(self, _events: int) -> None:
        assert self._engine is not None
        sock = self._engine
        # A port that nobody listens on can be connected to itself, should both addresses be one.
        if sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) or _is_own(sock):
            self._engine = None
            self._loop.close(sock)
            self._do(self._joint.refused())
        else:
            self._to_engine = Outgoing(sock)
            self._do(self._joint.connected())
            self._shared.report(self._peer, None)
        self._settle()

    def _engine_ready(self, events: int) -> None:
        assert self._engine is not None
        if events & OUT:
            self._to_engine_now()
        if self._joint.closed:
            pass
        elif self._joint.reads_engine and not self._to_link:
            if events & (IN | GONE):
                self._read_engine()
        elif events & GONE:
            if self._engine.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
                self._do(self._joint.engine_failed())
            else:
                # It is closed, but what it has sent is still to be read once there is room.
                self._is_muted = True
        elif events & ENDED:
            self._do(self._joint.engine_end())
        self._settle()

    def _read_engine(self) -> None:
        assert self._engine is not None
        buffer = self._shared.plain
        try:
            count = self._engine.recv_into(buffer[HEADER_BYTES:])
        except WOULD_WAIT:
            return
        except OSError:
            self._do(self._joint.engine_failed())
            return
        if not count:
            self._do(self._joint.engine_end())
            return
        write_header(buffer, count)
        self._to_link_now(buffer[: HEADER_BYTES + count])

    def _to_engine_now(self, data: memoryview | None = None) -> None:
        assert self._to_engine is not None
        try:
            if data is None:
                self._to_engine.flush()
            else:
                self._to_engine.send(data)
        except OSError:
            self._do(self._joint.engine_failed())

    # The link.

    def _dialed(self, outcome: Link | str) -> None:
        self._dialing = None
        if isinstance(outcome, str):
            self._shared.report(self._peer, outcome)
            self._do(self._joint.link_failed())
        else:
            self._take(outcome)
            self._do(self._joint.linked(self._loop.now))
            self._read_decrypted()
        self._settle()

    def _take(self, link: Link) -> None:
        self._link, self._tls = link
        self._to_link = Outgoing(self._link)
        self._decoder = Decoder()
        self._heard = self._said = self._loop.now

    def _link_ready(self, events: int) -> None:
        assert self._link is not None
        if events & OUT:
            self._to_link_now()
        if self._joint.closed or self._link is None:
            pass
        elif not self._to_engine:
            if events & (IN | GONE):
                self._read_link()
        elif events & GONE:
            self._broken(os.strerror(self._link.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)))
        self._settle()

    def _read_link(self) -> None:
        assert self._link is not None
        assert self._tls is not None
        buffer = self._shared.received
        try:
            count = self._link.recv_into(buffer)
        except WOULD_WAIT:
            return
        except OSError as error:
            self._broken(error.strerror or str(error))
            return
        if not count:
            self._broken("closed without an end")
            return
        self._heard = self._loop.now
        self._tls.feed(buffer[:count])
        self._read_decrypted()

    def _read_decrypted(self) -> None:
        buffer = self._shared.plain
        try:
            while self._tls is not None and (size := self._tls.read_into(buffer)):
                for piece in self._decoder.feed(buffer[:size]):
                    if isinstance(piece, Word):
                        self._hear(piece)
                    elif not self._joint.closed:
                        self._joint.data_came()
                        self._to_engine_now(piece)
                    if self._joint.closed:
                        return
                if size < len(buffer):
                    return
        except ssl.SSLError as error:
            self._broken(reason(error))
        except FrameError as error:
            self._broken(str(error))

    def _hear(self, said: Word) -> None:
        self._do(self._joint.heard(said))
        if said is Word.JOINED:
            self._shared.report(self._peer, None)
            self._show()

    def _show(self) -> None:
        with contextlib.suppress(OSError):
            if self._engine is not None:
                port = self._engine.getpeername()[1]
                self._shared.joined.add(self._peer, port)
                self._shown = port

    def _to_link_now(self, data: memoryview | bytes | None = None) -> None:
        if self._to_link is None or self._tls is None:
            return
        try:
            if data is None:
                self._to_link.flush()
            else:
                self._said = self._loop.now
                self._to_link.send(self._tls.encrypt(data))
        except OSError as error:
            self._broken(error.strerror or str(error))

    def _broken(self, why: str) -> None:
        if not self._joint.closed:
            self._shared.report(self._peer, f"the connection broke: {why.lower()}")
            self._do(self._joint.link_failed())

    # What is done.

    def _do(self, actions: list[Do]) -> None:
        for action in actions:
            if isinstance(action.value, Word):
                self._to_link_now(word(action.value))
            else:
                _WAYS[action](self)

    def _dial(self) -> None:
        self._dialing = self._shared.dial(self._peer, self._dialed)
        self._dialing.start()

    def _later(self) -> None:
        self._timer = self._loop.later(self._pause, self._due)
        self._pause = min(2 * self._pause, _LONGEST_PAUSE)

    def _due(self) -> None:
        self._do(self._joint.due())
        self._settle()

    def _look(self) -> None:
        """See whether it was half closed: that it is closed wholly, nothing tells by itself."""
        if self._next_look is None:
            self._look_again()

    def _look_again(self) -> None:
        self._next_look = None
        if self._engine is None or self._joint.joined or self._joint.closed:
            return
        with contextlib.suppress(OSError):
            if is_held(self._engine.getpeername()[:2], self._engine.getsockname()[:2]):
                self._next_look = self._loop.later(_LOOK_SECONDS, self._look_again)
                return
        self._do(self._joint.engine_left())
        self._settle()

    def _end_engine(self) -> None:
        if self._to_engine is not None:
            self._to_engine.end()

    def _close_engine(self) -> None:
        if self._engine is not None and self._to_engine is not None:
            self._farewell(self._engine, self._to_engine, None)
        self._engine = None

    def _reset_engine(self) -> None:
        if self._engine is not None:
            reset(self._loop, self._engine)
        self._engine = None

    def _close_link(self) -> None:
        if self._link is not None and self._to_link is not None:
            self._farewell(self._link, self._to_link, _FAREWELL_SECONDS)
        self._link = self._tls = None

    def _reset_link(self) -> None:
        if self._dialing is not None:
            self._dialing.cancel()
        if self._link is not None:
            reset(self._loop, self._link)
        self._dialing = self._link = self._tls = self._to_link = None

    def _farewell(self, sock: socket.socket, outgoing: Outgoing, limit: float | None) -> None:
        self._shared.began(Farewell(self._loop, sock, outgoing, limit, self._shared.done))

    def _settle(self) -> None:
        """Wait for what can be gone on with."""
        if self._joint.closed:
            if not self._is_over:
                self._is_over = True
                if self._shown is not None:
                    self._shared.joined.remove(self._peer, self._shown)
                for timer in (self._timer, self._next_look):
                    if timer is not None:
                        timer.cancel()
                self._shared.done(self)
            return
        if self._engine is not None and self._to_engine is not None:
            self._is_muted = self._is_muted and bool(self._to_link)
            if self._is_muted:
                self._loop.ignore(self._engine.fileno())
            else:
                self._loop.watch(self._engine.fileno(), self._engine_mask(), self._engine_ready)
        if self._link is not None:
            mask = (OUT if self._to_link else 0) | (0 if self._to_engine else IN)
            self._loop.watch(self._link.fileno(), mask, self._link_ready)

    def _engine_mask(self) -> int:
        mask = OUT if self._to_engine else 0
        if not self._joint.joined:
            # How much it sends before it is joined is not for us to keep.
            return mask if self._joint.engine_ended else mask | ENDED
        return mask | IN if self._joint.reads_engine and not self._to_link else mask


_WAYS: dict[Do, Callable[[Carrier], None]] = {
    Do.DIAL: Carrier._dial,
    Do.DIAL_LATER: Carrier._later,
    Do.CONNECT: Carrier._connect,
    Do.CONNECT_LATER: Carrier._later,
    Do.LOOK: Carrier._look,
    Do.END_ENGINE: Carrier._end_engine,
    Do.CLOSE_ENGINE: Carrier._close_engine,
    Do.RESET_ENGINE: Carrier._reset_engine,
    Do.CLOSE_LINK: Carrier._close_link,
    Do.RESET_LINK: Carrier._reset_link,
}


def _is_own(sock: socket.socket) -> bool:
    with contextlib.suppress(OSError):
        return bool(sock.getsockname() == sock.getpeername())
    return False
