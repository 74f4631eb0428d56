"""Who belongs to the mesh: lets peers in, keeps others out, notices who is gone."""

import logging
import math
import socket
import time
from collections.abc import Callable
from dataclasses import replace
from enum import Enum, auto
from typing import Any

from engine.errors import (
    AuthenticationError,
    EngineError,
    HelloMismatchError,
    PeerUnavailableError,
)
from engine.mesh.admission import Admission
from engine.mesh.assembly import transport_factory
from engine.mesh.events import (
    MISMATCH,
    Closed,
    ControlMessage,
    Established,
    Event,
    ProtocolError,
    Rejected,
    Silent,
)
from engine.mesh.hello import Hello, Purpose
from engine.mesh.links import Link
from engine.mesh.loop import Loop
from engine.mesh.peers import Peer, Timing
from engine.mesh.protocol import Connection
from engine.mesh.reception import Reception
from engine.mesh.reports import (
    Assembled,
    DataLink,
    MeshEvent,
    MeshFailed,
    Message,
    PeerLost,
    PeerView,
)
from engine.mesh.strangers import StrangerLog
from engine.settings import ClusterSettings

_BYE = {"type": "bye"}

_log = logging.getLogger("engine.mesh")


class _State(Enum):
    ASSEMBLING = auto()
    ASSEMBLED = auto()
    FAILED = auto()
    CLOSING = auto()


class Membership:
    """All connections of one process; for the control thread only.

    Args:
        loop: Of the control thread.
        settings: Of this process.
        hello: What it tells its peers.
        listener: A socket that listens.
        emit: Called with each event.
        timing: How long to wait for what.

    Raises:
        ConfigurationError: If TLS files cannot be used.
    """

    def __init__(
        self,
        loop: Loop,
        settings: ClusterSettings,
        hello: Hello,
        listener: socket.socket,
        emit: Callable[[MeshEvent], None],
        timing: Timing | None = None,
    ) -> None:
        self._loop = loop
        self._settings = settings
        self._hello = hello
        self._emit = emit
        self._timing = timing or Timing()
        self._make_transport = transport_factory(settings)
        self._strangers = StrangerLog()
        self._reception = Reception(loop, listener, self._welcome, self._strangers)
        self._state = _State.ASSEMBLING
        self._give_up_at = self._report_at = self._close_at = math.inf
        self._peers: dict[int, Peer] = {}
        self._links: set[Link] = set()
        self._admission = Admission(settings, hello, self._peers)
        self._departed: set[Peer] = set()

    @property
    def done(self) -> bool:
        """Whether everything is closed, in order."""
        return self._state is _State.CLOSING and not self._links

    def view(self) -> dict[int, PeerView]:
        """What is known of each peer now; callable from any thread."""
        return {process: peer.view for process, peer in self._peers.copy().items()}

    def begin(self) -> None:
        """Begin to assemble."""
        now = time.monotonic()
        self._give_up_at = now + self._settings.assemble_timeout
        self._report_at = now + self._timing.first_report
        for process, address in enumerate(self._settings.addresses):
            if process != self._hello.process:
                self._peers[process] = Peer(
                    self._loop,
                    process,
                    address,
                    dials=process > self._hello.process,
                    timing=self._timing,
                    now=now,
                    connected=self._dialed,
                )
        self._reception.open()
        self._check_assembled()

    def next_tick(self) -> float:
        """When `tick` has something to do; infinity if never."""
        times = [self._close_at, self._strangers.next_tick(), self._reception.next_tick()]
        times += (link.next_tick() for link in self._links)
        if self._state is _State.ASSEMBLING:
            times += (self._give_up_at, self._report_at)
            times += (peer.next_tick() for peer in self._peers.values())
        return min(times)

    def tick(self, now: float) -> None:
        """Do what is due, and judge time limits."""
        self._strangers.tick(now)
        self._reception.tick(now)
        for link in list(self._links):
            link.tick(now)
        if now >= self._close_at:
            self.abandon()
        if self._state is _State.ASSEMBLING:
            for peer in self._peers.values():
                peer.tick(now)
            self._report_missing(now)

    def send(self, process: int, message: dict[str, Any]) -> None:
        """Send to one peer; dropped if it is not connected."""
        peer = self._peers.get(process)
        if peer is not None and peer.control is not None and self._state is not _State.CLOSING:
            peer.control.connection.send_control(message)
            peer.control.flush()

    def broadcast(self, message: dict[str, Any]) -> None:
        """Send to every connected peer."""
        for process in self._peers:
            self.send(process, message)

    def close(self, limit: float) -> None:
        """Say bye, and close each connection as soon as its peer has taken what is pending."""
        self.broadcast(_BYE)
        self._stop(_State.CLOSING)
        self._close_at = time.monotonic() + limit
        for link in list(self._links):
            if link.ending:
                continue
            if link.connection.established:
                link.end()
            else:
                link.close()

    def abandon(self) -> None:
        """Close everything at once."""
        self._reception.close()
        for link in list(self._links):
            link.close()

    def _stop(self, state: _State) -> None:
        """Assemble no more."""
        self._state = state
        self._admission.assembling = False
        self._reception.close()
        for peer in self._peers.values():
            peer.stop()

    def _fail(self, error: EngineError) -> None:
        self._stop(_State.FAILED)
        self._emit(MeshFailed(error))

    def _report_missing(self, now: float) -> None:
        """Say who is missing, now and then, and give up in the end."""
        missing = [peer for peer in self._peers.values() if not peer.complete]
        names = ", ".join(f"{peer} ({peer.reason})" for peer in missing)
        if now >= self._give_up_at:
            problem = f"gave up after {self._settings.assemble_timeout:g} s waiting for {names}"
            reasons = {peer.process: peer.reason for peer in missing}
            self._fail(PeerUnavailableError(problem, reasons))
        elif now >= self._report_at:
            self._report_at = now + self._timing.report
            _log.warning("waiting for %d of %d peers: %s", len(missing), len(self._peers), names)

    # How connections begin.

    def _welcome(self, sock: socket.socket, where: str) -> Link:
        return self._link(sock, self._hello, where, None)

    def _dialed(self, peer: Peer, sock: socket.socket, purpose: Purpose) -> Link:
        hello = replace(self._hello, purpose=purpose, to=peer.process)
        return self._link(sock, hello, str(peer.address), peer.process)

    def _link(self, sock: socket.socket, hello: Hello, where: str, dialed: int | None) -> Link:
        connection = Connection(
            hello,
            dialer=dialed is not None,
            secret=self._settings.secret,
            now=time.monotonic(),
            handshake_limit=self._timing.handshake,
            heartbeat_limit=self._settings.heartbeat_timeout,
            refuse=lambda peer: self._admission.refuse(link, peer),
        )
        link = Link(
            self._loop,
            self._make_transport(sock, dialer=dialed is not None),
            connection,
            where=where,
            dialed=dialed,
            report=self._handle,
            gone=self._gone,
        )
        self._links.add(link)
        return link

    # How they go on.

    def _handle(self, link: Link, event: Event) -> None:
        match event:
            case Established(peer):
                self._established(link, self._peers[peer.process])
            case ControlMessage(message):
                self._received(link, message)
            case Rejected():
                self._rejected(link, event)
            case ProtocolError(reason):
                self._broken(link, reason)
            case Closed(reason):
                self._broken(link, reason, "its process died or was killed")
            case Silent():
                silence = f"no heartbeat for {self._settings.heartbeat_timeout:g} s"
                self._broken(
                    link, silence, "it is frozen or cut off, or C code there holds the GIL"
                )

    def _established(self, link: Link, peer: Peer) -> None:
        self._reception.settled(link)
        purpose = link.connection.hello.purpose
        if purpose == "probe":
            if link.dialed is not None:
                peer.reason = "it answers, but has not dialed this process"
            link.end()
            return
        peer.settle(link, purpose)
        if peer.complete:
            _log.debug("connected to %s", peer)
        self._check_assembled()

    def _check_assembled(self) -> None:
        """Hand the data links over as soon as there are all of them."""
        links = [peer.data for peer in self._peers.values() if peer.complete and peer.data]
        if self._state is not _State.ASSEMBLING or len(links) < len(self._peers):
            return
        self._state = _State.ASSEMBLED
        self._admission.assembling = False
        handed_over = {}
        for peer, link in zip(self._peers.values(), links, strict=True):
            peer.stop()
            peer.links.discard(link)
            self._links.discard(link)
            link.hand_over()
            handed_over[peer.process] = DataLink(peer.process, link.transport, link.connection)
        self._emit(Assembled(handed_over))

    def _received(self, link: Link, message: dict[str, Any]) -> None:
        if self._state is _State.CLOSING:
            return
        peer = self._peer_of(link)
        assert peer is not None
        if message == _BYE:
            self._departed.add(peer)
        self._emit(Message(peer.process, message))

    def _rejected(self, link: Link, event: Rejected) -> None:
        link.end()
        peer = self._peer_of(link)
        reasons = "; ".join(event.reasons)
        other = link.where if link.dialed is None else f"process {link.dialed} at {link.where}"
        if event.by_peer:
            sentence = f"this process was rejected by {other}: {reasons}"
        else:
            kind = "connection from " if link.dialed is None else ""
            sentence = f"rejected {kind}{other}: {reasons}"
        if self._admission.is_fatal(link, event):
            mismatch = event.code == MISMATCH
            self._fail(
                HelloMismatchError(event.reasons) if mismatch else AuthenticationError(sentence)
            )
            return
        if peer is not None and not peer.links:
            peer.reason = f"rejected: {reasons}"
        if link.dialed is None:
            self._strangers.write(sentence, time.monotonic())

    def _broken(self, link: Link, reason: str, meaning: str = "") -> None:
        peer = self._peer_of(link)
        is_loss = peer is not None and link is peer.control
        link.close()
        if peer is not None and is_loss:
            self._lost(peer, f"{reason}: {meaning}" if meaning else reason)
        elif peer is not None and link.dialed is not None:
            peer.reason = reason
        else:
            line = f"rejected connection from {link.where}: {reason}"
            self._strangers.write(line, time.monotonic())

    def _lost(self, peer: Peer, reason: str) -> None:
        """Take note that a connected peer is gone."""
        in_order = peer in self._departed
        self._departed.discard(peer)
        if self._state is _State.ASSEMBLING:
            peer.reason = "it has left again" if in_order else reason
            _log.warning("lost %s: %s", peer, peer.reason)
        elif self._state is _State.ASSEMBLED and not in_order:
            self._emit(PeerLost(peer.process, str(peer.address), reason))

    def _gone(self, link: Link) -> None:
        self._links.discard(link)
        self._admission.forget(link)
        self._reception.settled(link)
        peer = self._peer_of(link)
        if peer is not None:
            peer.lose(link, time.monotonic())

    def _peer_of(self, link: Link) -> Peer | None:
        """Whom a link was dialed to, or who says to be at its other end."""
        if link.dialed is not None:
            return self._peers[link.dialed]
        hello = link.connection.peer
        return self._peers.get(hello.process) if hello is not None else None
