"""How a link comes to be: dialed, and each side's certificate verified by the other."""

import contextlib
import os
import socket
import ssl
from collections.abc import Callable

from ctl.remote.relay.loop import GONE, IN, OUT, Loop, Timer
from ctl.remote.relay.resolving import Found, Resolver
from ctl.remote.relay.sockets import WOULD_WAIT, Place, reset, tune
from ctl.remote.relay.tls import Tls, reason

HANDSHAKE_SECONDS = 5.0
_DIAL_SECONDS = 5.0
_READ = 1 << 16

Link = tuple[socket.socket, Tls]
"""A connection to the relay of a peer whose certificate is the right one."""


class Handshake:
    """The TLS handshake of one connected socket.

    Args:
        loop: Of the relay.
        sock: The socket.
        tls: Its TLS.
        buffer: To read into.
        done: Is called once, with None or with the reason why there is no link; then the socket
            is closed already.
    """

    def __init__(
        self,
        loop: Loop,
        sock: socket.socket,
        tls: Tls,
        buffer: memoryview,
        done: Callable[[str | None], None],
    ) -> None:
        self._loop, self._sock, self._tls, self._buffer, self._done = loop, sock, tls, buffer, done
        self.started = loop.now
        self._timer = loop.later(HANDSHAKE_SECONDS, lambda: self.fail("it is silent"))
        self._waiting = b""

    def start(self) -> None:
        """Begin."""
        self._go_on()

    def fail(self, why: str | None) -> None:
        """End it without a link.

        Args:
            why: What `done` is told; if None, it is not called.
        """
        self._timer.cancel()
        reset(self._loop, self._sock)
        if why is not None:
            self._done(why)

    def _ready(self, events: int) -> None:
        try:
            if events & (IN | GONE):
                count = self._sock.recv_into(self._buffer[:_READ])
                if not count:
                    self.fail("it closed the connection before the end of the TLS handshake")
                    return
                self._tls.feed(self._buffer[:count])
        except WOULD_WAIT:
            pass
        except OSError as error:
            self.fail(_told(error))
            return
        self._go_on()

    def _go_on(self) -> None:
        try:
            try:
                done = self._tls.shake_hands()
            finally:
                # Also what says why there is none.
                self._send()
        except ssl.SSLError as error:
            self.fail(reason(error))
        except OSError as error:
            self.fail(_told(error))
        else:
            if done and not self._waiting:
                self._timer.cancel()
                self._loop.ignore(self._sock.fileno())
                self._done(None)
                return
            self._loop.watch(self._sock.fileno(), OUT if self._waiting else IN, self._ready)

    def _send(self) -> None:
        self._waiting += self._tls.outgoing()
        with contextlib.suppress(*WOULD_WAIT):
            if self._waiting:
                self._waiting = self._waiting[self._sock.send(self._waiting) :]


class Dialing:
    """One attempt to make a link to the relay of a peer.

    Args:
        loop: Of the relay.
        resolver: Finds addresses.
        address: Where the relay of the peer listens.
        peer: ID of the process that its certificate has to name.
        made: TLS settings.
        buffer: To read into.
        done: Is called once, with the link or the reason why there is none.
    """

    def __init__(
        self,
        loop: Loop,
        resolver: Resolver,
        address: Place,
        peer: int,
        made: ssl.SSLContext,
        buffer: memoryview,
        done: Callable[[Link | str], None],
    ) -> None:
        self._loop, self._peer, self._made, self._buffer = loop, peer, made, buffer
        self._resolver, self._address, self._report = resolver, address, done
        self._sock: socket.socket | None = None
        self._handshake: Handshake | None = None
        self._is_over = False
        self._timer: Timer = loop.later(_DIAL_SECONDS, lambda: self._fail("timed out"))

    def start(self) -> None:
        """Begin; `done` may be called at once."""
        self._resolver.find(self._address, self._found)

    def cancel(self) -> None:
        """Give it up without a word."""
        self._is_over = True
        self._timer.cancel()
        if self._handshake is not None:
            self._handshake.fail(None)
        elif self._sock is not None:
            reset(self._loop, self._sock)

    def _fail(self, why: str) -> None:
        self.cancel()
        self._report(why)

    def _found(self, found: Found) -> None:
        if self._is_over:
            return
        if found is None:
            self._fail("name not known")
            return
        try:
            self._sock = socket.socket(found[0], socket.SOCK_STREAM)
            tune(self._sock)
            with contextlib.suppress(*WOULD_WAIT):
                self._sock.connect(found[1])
        except OSError as error:
            self._fail(_told(error))
            return
        self._loop.watch(self._sock.fileno(), OUT, self._connected)

    def _connected(self, _events: int) -> None:
        assert self._sock is not None
        code = self._sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if code:
            self._fail(os.strerror(code).lower())
            return
        self._timer.cancel()
        tls = Tls(self._made, server=False)
        self._handshake = Handshake(
            self._loop, self._sock, tls, self._buffer, lambda why: self._shaken(tls, why)
        )
        self._handshake.start()

    def _shaken(self, tls: Tls, why: str | None) -> None:
        assert self._sock is not None
        if why is None and tls.peers != {self._peer}:
            named = ", ".join(map(str, sorted(tls.peers))) or "none"
            why = f"its certificate is of process {named}"
            reset(self._loop, self._sock)
        self._is_over = True
        self._report((self._sock, tls) if why is None else why)


def _told(error: OSError) -> str:
    return (error.strerror or str(error)).lower()
