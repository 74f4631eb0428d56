"""A connection with its transport, driven by a loop."""

import math
import time
from collections.abc import Callable

from engine.mesh.loop import Loop
from engine.mesh.protocol import Connection, Event
from engine.mesh.transport import Transport

_LINGER = 2.0


class Link:
    """A connection that the control thread serves, from its first byte to its last.

    Args:
        loop: Of the control thread.
        transport: Of the connection.
        connection: The connection.
        where: Address of the peer.
        dialed: Process that was dialed, if this side has dialed.
        report: Called with each event.
        gone: Called once the link is closed.
    """

    def __init__(
        self,
        loop: Loop,
        transport: Transport,
        connection: Connection,
        *,
        where: str,
        dialed: int | None,
        report: "Callable[[Link, Event], None]",
        gone: "Callable[[Link], None]",
    ) -> None:
        self.transport = transport
        self.connection = connection
        self.where = where
        self.dialed = dialed
        self.open = True
        self._loop = loop
        self._report = report
        self._gone = gone
        self._parked = False
        self._ends_at = math.inf
        self._ended = False

    @property
    def ending(self) -> bool:
        """Whether it only waits for what was sent to arrive."""
        return self._ends_at < math.inf

    def serve(self) -> None:
        """Read, report, and send what there is to send."""
        if self.ending and self.transport.drain():
            self.close()
            return
        # With TLS there may be more to read than the loop knows of, so this goes on to the end.
        while not self._parked and not self.ending:
            events = self.transport.read(self.connection, time.monotonic())
            if not events:
                break
            for event in events:
                self._report(self, event)
                if not self.open:
                    return
        self.flush()

    def flush(self) -> None:
        """Send what can be sent now, and see to it that the rest follows."""
        if not self.open:
            return
        self.transport.flush(self.connection)
        writes = self.transport.wants_write(self.connection)
        if self.ending and not writes and not self._ended:
            self._ended = True
            self.transport.end()
        reads = not self._parked
        self._loop.watch(self.transport.fileno(), self.serve, reads=reads, writes=writes)

    def park(self) -> None:
        """Read no more: what comes from now on is for someone else."""
        self._parked = True

    def hand_over(self) -> None:
        """Send what is pending and let go of the link, which lives on in other hands."""
        self.flush()
        self._loop.forget(self.transport.fileno())
        self.open = False

    def end(self) -> None:
        """Send what is pending, and close when the peer has closed or after a time.

        To close at once, with bytes of the peer unread, could undo what was sent last.
        """
        if self.open and not self.ending:
            self._parked = False
            self._ends_at = time.monotonic() + _LINGER
            self.flush()

    def close(self) -> None:
        """Close at once."""
        if self.open:
            self.open = False
            self._loop.forget(self.transport.fileno())
            self.transport.close()
            self._gone(self)

    def tick(self, now: float) -> None:
        """Send heartbeats and judge time limits."""
        if not self.open:
            return
        if now >= self._ends_at:
            self.close()
        elif not self.ending:
            for event in self.connection.tick(now):
                self._report(self, event)
            if self.connection.pending:
                self.flush()

    def next_tick(self) -> float:
        """When `tick` has something to do; infinity if never."""
        return min(self._ends_at, self.connection.next_tick())
