"""Sockets of a relay: made, tuned, written to without waiting, and brought to their end."""

import contextlib
import socket
import struct
from collections import deque
from collections.abc import Callable

from ctl.remote.relay.loop import GONE, IN, OUT, Loop

Place = tuple[str, int]

_KEEPALIVE = {socket.TCP_KEEPIDLE: 10, socket.TCP_KEEPINTVL: 5, socket.TCP_KEEPCNT: 3}
WOULD_WAIT = (BlockingIOError, InterruptedError)
_BACKLOG = 1024
_DISCARDED = 1 << 16


def listen(place: Place, *, shared: bool) -> socket.socket:
    """Listen somewhere.

    Args:
        place: Host and port.
        shared: Whether relays of the same user may listen there too.

    Raises:
        OSError: If that cannot be.
    """
    family, _, _, _, address = socket.getaddrinfo(
        *place, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )[0]
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if shared:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        sock.bind(address)
        sock.listen(_BACKLOG)
        sock.setblocking(False)
    except OSError:
        sock.close()
        raise
    return sock


def begin(place: Place, source: str) -> socket.socket | None:
    """Begin to connect to an address of loopback from another; None if nobody listens there."""
    family = socket.AF_INET6 if ":" in place[0] else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        tune(sock)
        sock.bind((source, 0))
        with contextlib.suppress(*WOULD_WAIT):
            sock.connect(place)
    except OSError:
        sock.close()
        return None
    return sock


def tune(sock: socket.socket) -> None:
    """Have small pieces sent at once, and a dead peer noticed where nothing is sent.

    There is no `TCP_USER_TIMEOUT`: it also ends connections whose peer lives, but does not read.
    """
    sock.setblocking(False)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option, value in _KEEPALIVE.items():
        sock.setsockopt(socket.IPPROTO_TCP, option, value)


def reset(loop: Loop, sock: socket.socket) -> None:
    """Close a socket so that the other side sees its connection reset."""
    with contextlib.suppress(OSError):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    loop.close(sock)


class Outgoing:
    """What waits until a socket takes it.

    Args:
        sock: A connected socket.
    """

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._waiting: deque[memoryview] = deque()
        self._ends = False

    def __bool__(self) -> bool:
        """Whether anything waits."""
        return bool(self._waiting)

    def send(self, data: memoryview | bytes) -> None:
        """Send now what the socket takes, keep a copy of the rest.

        Raises:
            OSError: If the connection is broken.
        """
        try:
            sent = 0 if self._waiting else self._sock.send(data)
        except WOULD_WAIT:
            sent = 0
        if sent < len(data):
            self._waiting.append(memoryview(bytes(memoryview(data)[sent:])))

    def flush(self) -> None:
        """Go on with what waits.

        Raises:
            OSError: If the connection is broken.
        """
        with contextlib.suppress(*WOULD_WAIT):
            while self._waiting:
                first = self._waiting.popleft()
                try:
                    rest = first[self._sock.send(first) :]
                except BlockingIOError:
                    rest = first
                if rest:
                    self._waiting.appendleft(rest)
                    return
        self._end_if_due()

    def end(self) -> None:
        """Send nothing after what waits; may be called again."""
        self._ends = True
        self._end_if_due()

    def _end_if_due(self) -> None:
        if self._ends and not self._waiting:
            with contextlib.suppress(OSError):
                self._sock.shutdown(socket.SHUT_WR)


class Farewell:
    """Brings a connection to its end so that nothing that was sent is lost.

    To close a socket that has unread data would reset the connection, and data on its way with
    it; so what comes is read until the other side has closed too.

    Args:
        loop: Of the relay.
        sock: A connected socket.
        outgoing: What waits to be sent.
        limit: Seconds after which it is closed anyway; None for no limit.
        done: Is called at the end.
    """

    def __init__(
        self,
        loop: Loop,
        sock: socket.socket,
        outgoing: Outgoing,
        limit: float | None,
        done: Callable[["Farewell"], None],
    ) -> None:
        self._loop, self._sock, self._outgoing, self._done = loop, sock, outgoing, done
        self._timer = None if limit is None else loop.later(limit, self._close)
        outgoing.end()
        self._watch()

    def _watch(self) -> None:
        self._loop.watch(self._sock.fileno(), OUT if self._outgoing else IN, self._ready)

    def _ready(self, events: int) -> None:
        try:
            if self._outgoing:
                self._outgoing.flush()
                if events & GONE:
                    self._close()
                    return
            elif not self._sock.recv(_DISCARDED):
                self._close()
                return
        except WOULD_WAIT:
            pass
        except OSError:
            self._close()
            return
        self._watch()

    def _close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._loop.close(self._sock)
        self._done(self)
