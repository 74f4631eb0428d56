"""Epochs of the whole cluster, as process 0 decides them: a state machine without I/O.

An epoch is closed by a barrier that every worker injects at its sources; one is under way
at a time. When all processes have closed it, it is committed. The last epoch follows the
end of all input, or an ordered stop; nobody ends before it is committed.
"""

from typing import Literal, NamedTuple

Reason = Literal["finished", "terminated", "interrupted"]
"""Why a run ends in order: end of input, SIGTERM or SIGINT."""

_IDLE_FIRST = 0.001
_IDLE_MOST = 0.05


class CloseEpoch(NamedTuple):
    """Every worker shall inject the barrier of the epoch; `last` if no other follows."""

    epoch: int
    last: bool


class Commit(NamedTuple):
    """All processes have closed the epoch."""

    epoch: int


class End(NamedTuple):
    """The last epoch is committed: all processes end."""

    reason: Reason


Order = CloseEpoch | Commit | End


class Coordinator:
    """Decides when epochs are closed.

    Args:
        processes: Number of processes.
        interval: Seconds from one epoch to the next; with 0 one follows the other at once.
        epoch: The first epoch.
        now: Monotonic time in seconds, as for all methods.
    """

    def __init__(self, processes: int, interval: float, epoch: int, now: float) -> None:
        self._processes = processes
        self._interval = interval
        self._epoch = epoch
        self._due = now + interval
        self._closing = False
        self._last = False
        self._reason: Reason | None = None
        self._done: set[int] = set()
        self._busy = False
        self._idle_wait = _IDLE_FIRST
        self._input_ended: set[int] = set()

    @property
    def due(self) -> float | None:
        """When `tick` has something to do."""
        return None if self._closing or self._last else self._due

    def tick(self, now: float) -> list[Order]:
        """Close the epoch if it is time."""
        if self._closing or self._last:
            return []
        if self._reason is None and now < self._due:
            return []
        self._closing = True
        self._last = self._reason is not None
        self._done.clear()
        self._busy = False
        return [CloseEpoch(self._epoch, self._last)]

    def epoch_done(self, process: int, epoch: int, *, idle: bool, now: float) -> list[Order]:
        """A process has closed an epoch; `idle` if its sources gave nothing in it."""
        if not self._closing or epoch != self._epoch:
            return []
        self._done.add(process)
        self._busy = self._busy or not idle
        if len(self._done) < self._processes:
            return []
        self._closing = False
        self._epoch += 1
        orders: list[Order] = [Commit(epoch)]
        if self._last:
            assert self._reason is not None
            return [*orders, End(self._reason)]
        self._due = self._next_due(now)
        return orders + self.tick(now)

    def input_ended(self, process: int, now: float) -> list[Order]:
        """A process has worked off all input of the dataflow."""
        self._input_ended.add(process)
        if len(self._input_ended) < self._processes:
            return []
        return self.stop("finished", now)

    def stop(self, reason: Reason, now: float) -> list[Order]:
        """End the run in order, after the epoch that is under way."""
        self._reason = self._reason or reason
        return self.tick(now)

    def _next_due(self, now: float) -> float:
        if self._interval > 0:
            # A tick that comes while an epoch is under way is skipped.
            missed = int((now - self._due) / self._interval)
            return self._due + (missed + 1) * self._interval
        if self._busy:
            self._idle_wait = _IDLE_FIRST
            return now
        self._idle_wait = min(_IDLE_MOST, self._idle_wait * 2)
        return now + self._idle_wait
