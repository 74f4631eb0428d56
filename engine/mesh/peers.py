"""One peer of a process: its links, how it is reached, and why it is missing."""

import math
import os
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass

from engine.mesh.dial import Dial
from engine.mesh.hello import Hello, Purpose
from engine.mesh.links import Link
from engine.mesh.loop import Loop
from engine.mesh.reports import PeerView
from engine.mesh.transport import broken_because
from engine.settings import Address

_GROWTH = 1.25
"""Of the wait until the next attempt: small, so that a peer is found soon after it has started."""


@dataclass(frozen=True)
class Timing:
    """How long the assembly of a mesh waits for what, in seconds.

    Args:
        handshake: From connected to established.
        connect: From dialing to connected.
        probe_after: For a peer that should dial, until it is probed.
        first_retry: Before a peer is dialed again for the first time.
        last_retry: The longest such wait.
        first_report: Until missing peers are reported.
        report: From one such report to the next.
    """

    handshake: float = 10.0
    connect: float = 5.0
    probe_after: float = 1.5
    first_retry: float = 0.05
    last_retry: float = 1.0
    first_report: float = 1.0
    report: float = 3.0


class Peer:
    """A process that belongs to the mesh.

    Of two processes the one with the higher ID dials. The other one probes, after a while,
    to find out what keeps it.

    Args:
        loop: Of the control thread.
        process: Its ID.
        address: Where it listens.
        dials: Whether it is the peer that has to dial.
        timing: Of the mesh.
        now: Monotonic seconds.
        connected: Makes a link of a socket that is connected to it, for a purpose.
    """

    def __init__(
        self,
        loop: Loop,
        process: int,
        address: Address,
        *,
        dials: bool,
        timing: Timing,
        now: float,
        connected: "Callable[[Peer, socket.socket, Purpose], Link]",
    ) -> None:
        self.process = process
        self.address = address
        self.control: Link | None = None
        self.data: Link | None = None
        self.links: set[Link] = set()
        """Links whose other end has shown that it is this peer."""
        self.reason = "not heard from yet"
        """Why it is missing."""
        self._loop = loop
        self._dials = dials
        self._timing = timing
        self._connected = connected
        self._stopped = False
        self._dial: Dial | None = None
        self._dialed: Link | None = None
        self._retry_after = timing.first_retry
        self._retry_at = now + timing.probe_after if dials else now

    @property
    def complete(self) -> bool:
        """Whether both of its links are established."""
        return self.control is not None and self.data is not None

    @property
    def view(self) -> PeerView:
        """What is known of it now; readable from any thread."""
        control = self.control
        if control is None or self.data is None:
            return PeerView(connected=False, reason=self.reason, last_heard=None)
        return PeerView(connected=True, reason="", last_heard=control.connection.last_heard)

    def __str__(self) -> str:
        return f"process {self.process} at {self.address}"

    def holder(self, newcomer: Hello) -> Link | None:
        """The link of another process that has this ID already."""
        for link in self.links:
            if link.connection.peer and link.connection.peer.instance != newcomer.instance:
                return link
        return None

    def tick(self, now: float) -> None:
        """Dial if it is time to."""
        if self._dial is not None:
            self._dial.tick(now)
        elif now >= self._next_dial():
            self._dial = Dial(self._loop, self.address, self._timing.connect, self._dial_done)

    def next_tick(self) -> float:
        """When `tick` has something to do; infinity if never."""
        return self._next_dial() if self._dial is None else self._dial.deadline

    def settle(self, link: Link, purpose: Purpose) -> None:
        """Take an established link as the one for its purpose."""
        older = self.control if purpose == "control" else self.data
        if purpose == "control":
            self.control = link
        else:
            self.data = link
            link.park()
        if older is not None:
            older.close()
        self.reason = "connecting"
        if link is self._dialed:
            self._dialed = None
            self._retry_after = self._timing.first_retry

    def lose(self, link: Link, now: float) -> None:
        """Forget a link that is closed; the other one of an established pair goes with it."""
        self.links.discard(link)
        if link is self._dialed:
            self._dialed = None
            self._try_later(now)
        if link in (self.control, self.data):
            other = self.data if link is self.control else self.control
            self.control = self.data = None
            if other is not None:
                other.close()
            self._try_later(now)

    def stop(self) -> None:
        """Dial no more."""
        self._stopped = True
        if self._dial is not None:
            self._dial.stop()
            self._dial = None

    def _next_dial(self) -> float:
        waits_for_it = self._dials and self.links
        if self._stopped or self._dialed is not None or self.complete or waits_for_it:
            return math.inf
        return self._retry_at

    def _dial_done(self, result: socket.socket | str) -> None:
        self._dial = None
        if isinstance(result, str):
            self.reason = result
            self._try_later(time.monotonic())
            return
        purpose: Purpose = "control" if self.control is None else "data"
        try:
            link = self._connected(self, result, "probe" if self._dials else purpose)
        except OSError as error:
            result.close()
            self._dial_done(broken_because(error))
            return
        self._dialed = link
        link.serve()

    def _try_later(self, now: float) -> None:
        """Wait before the next attempt, longer each time, and not in step with others."""
        jitter = 0.5 + os.urandom(1)[0] / 256
        self._retry_at = now + jitter * self._retry_after
        self._retry_after = min(_GROWTH * self._retry_after, self._timing.last_retry)
