"""The relay of one process: listens, judges who connects, and carries connections."""

import errno
import functools
import socket
from collections.abc import Callable
from typing import NamedTuple

from ctl.remote.joined import Joined
from ctl.remote.relay.carrying import Carrier, Shared
from ctl.remote.relay.complaints import Complaints
from ctl.remote.relay.links import Dialing, Handshake, Link
from ctl.remote.relay.loop import IN, Loop
from ctl.remote.relay.resolving import Resolver
from ctl.remote.relay.settings import Settings
from ctl.remote.relay.sockets import Place, listen, reset, tune
from ctl.remote.relay.tls import Tls, context

HALF_OPEN = 128
"""Connections to the mesh port whose TLS handshake is not done; more have to wait."""

_SHORTEST_SECONDS = 1.0
"""What each has for that, also if others wait."""

_TICK_SECONDS = 1.0
_ACCEPTED_AT_ONCE = 64
_PAUSE_SECONDS = 0.02
_FULL = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)


class ListenError(Exception):
    """It cannot listen where it should."""


class _Door(NamedTuple):
    take: Callable[[socket.socket], None]
    has_room: Callable[[], bool] = lambda: True


class Relay:
    """The relay of one process.

    Args:
        settings: What it is told.
        loop: What it runs in.
        write: Takes each line of what goes wrong.

    Raises:
        ListenError: If an address cannot be listened on.
        OSError: If the TLS files cannot be used, or the file of what is joined not written.
    """

    def __init__(self, settings: Settings, loop: Loop, write: Callable[[str], None]) -> None:
        self._settings, self._loop = settings, loop
        self._complaints = Complaints(write, lambda: loop.now)
        self._resolver = Resolver(loop)
        self._peers = {peer.id: peer for peer in settings.peers}
        self._client = context(settings.tls, settings.process, server=False)
        self._server = context(settings.tls, settings.process, server=True)
        self._open: set[object] = set()
        self._half_open: dict[socket.socket, Handshake] = {}
        self._is_draining = False
        self._shared = Shared(
            loop,
            settings.engine,
            {peer.id: peer.local for peer in settings.peers},
            self._dialing,
            self._report,
            Joined(settings.joined, self._peers),
            self._open.add,
            self._done,
        )
        self._doors: dict[socket.socket, _Door] = {}
        try:
            self._listen(settings.mesh, _Door(self._stranger, self._has_room), shared=False)
            for peer in settings.peers:
                dialed = functools.partial(self._engine_dialed, peer.id)
                self._listen(peer.local, _Door(dialed), shared=True)
        except ListenError:
            self.close()
            raise
        loop.later(_TICK_SECONDS, self._tick)

    @property
    def connections(self) -> int:
        """How many there are, those that are about to end included."""
        return len(self._open)

    def drain(self) -> None:
        """Take nothing new, and stop the loop when what there is has ended."""
        self._is_draining = True
        for listener in list(self._doors):
            # To close it would reset what waits to be accepted.
            self._accept(listener)
        self.close()
        self._stop_if_drained()

    def close(self) -> None:
        """Listen no more."""
        for listener in self._doors:
            self._loop.close(listener)
        self._doors.clear()

    # Who comes.

    def _listen(self, place: Place, door: "_Door", *, shared: bool) -> None:
        try:
            listener = listen(place, shared=shared)
        except OSError as error:
            msg = f"cannot listen on {_text(place)}: {(error.strerror or str(error)).lower()}"
            raise ListenError(msg) from error
        self._doors[listener] = door
        self._watch(listener)

    def _watch(self, listener: socket.socket) -> None:
        if listener in self._doors:
            self._loop.watch(listener.fileno(), IN, lambda _: self._accept(listener))

    def _rest(self, listener: socket.socket) -> None:
        """Accept nothing for a moment."""
        self._loop.ignore(listener.fileno())
        self._loop.later(_PAUSE_SECONDS, lambda: self._watch(listener))

    def _accept(self, listener: socket.socket) -> None:
        door = self._doors[listener]
        for _ in range(_ACCEPTED_AT_ONCE):
            if not door.has_room():
                self._rest(listener)
                return
            try:
                sock, _address = listener.accept()
            except BlockingIOError:
                return
            except OSError as error:
                if error.errno in _FULL:
                    self._complaints.say(f"cannot accept a connection: {error.strerror}")
                    self._rest(listener)
                    return
                # It was given up before it was accepted.
                continue
            door.take(sock)

    def _engine_dialed(self, peer: int, sock: socket.socket) -> None:
        Carrier(self._shared, peer, sock).start()

    def _has_room(self) -> bool:
        if len(self._half_open) < HALF_OPEN:
            return True
        oldest = next(iter(self._half_open.values()))
        if self._loop.now - oldest.started < _SHORTEST_SECONDS:
            return False
        oldest.fail("it is slow, and others wait")
        return True

    def _stranger(self, sock: socket.socket) -> None:
        """Have somebody prove who they are, before anything else happens."""
        try:
            address = sock.getpeername()
            tune(sock)
        except OSError:
            sock.close()
            return
        tls = Tls(self._server, server=True)
        judge = functools.partial(self._judge, sock, tls, _text(address))
        handshake = Handshake(self._loop, sock, tls, self._shared.received, judge)
        self._half_open[sock] = handshake
        handshake.start()

    def _judge(self, sock: socket.socket, tls: Tls, address: str, why: str | None) -> None:
        del self._half_open[sock]
        if why is None:
            ids = tls.peers
            if len(ids) == 1 and ids <= self._peers.keys():
                Carrier(self._shared, min(ids)).start((sock, tls))
                return
            named = ", ".join(map(str, sorted(ids))) or "none"
            why = f"its certificate is of process {named}, which is no peer"
            reset(self._loop, sock)
        self._complaints.say(f"turned away {address}: {why}")
        self._stop_if_drained()

    # What becomes of them.

    def _dialing(self, peer: int, done: Callable[[Link | str], None]) -> Dialing:
        return Dialing(
            self._loop,
            self._resolver,
            self._peers[peer].address,
            peer,
            self._client,
            self._shared.received,
            done,
        )

    def _report(self, peer: int, why: str | None) -> None:
        if why is None:
            self._complaints.forget(peer)
            return
        place = _text(self._peers[peer].address)
        self._complaints.say_of(peer, f"process {peer} at {place}: {why}")

    def _done(self, ended: object) -> None:
        self._open.discard(ended)
        self._stop_if_drained()

    def _stop_if_drained(self) -> None:
        if self._is_draining and not self._open and not self._half_open:
            self._loop.running = False

    def _tick(self) -> None:
        for each in list(self._open):
            if isinstance(each, Carrier):
                each.tick()
        self._complaints.flush()
        self._loop.later(_TICK_SECONDS, self._tick)


def _text(place: tuple[str | int, ...]) -> str:
    host = str(place[0])
    return f"[{host}]:{place[1]}" if ":" in host else f"{host}:{place[1]}"
