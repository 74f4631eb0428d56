"""When each key wants to be notified next."""

from datetime import datetime
from heapq import heapify, heappop, heappush

_SLACK = 64


class Timers:
    """One time per key, soonest first.

    The heap may hold times that are no longer wanted; they are dropped when they surface,
    or all at once when there are more of them than of the others.
    """

    def __init__(self) -> None:
        self._wanted: dict[str, datetime] = {}
        self._heap: list[tuple[datetime, str]] = []

    def __bool__(self) -> bool:
        """Whether any key has a time."""
        return bool(self._wanted)

    def set(self, key: str, at: datetime | None) -> None:
        """Set the time of a key in place of the one before; `None` for none."""
        if at is None:
            self._wanted.pop(key, None)
        elif self._wanted.get(key) != at:
            self._wanted[key] = at
            heappush(self._heap, (at, key))
            if len(self._heap) > 2 * len(self._wanted) + _SLACK:
                self._heap = [(at, key) for key, at in self._wanted.items()]
                heapify(self._heap)

    def next(self) -> datetime | None:
        """The soonest time of all keys."""
        heap = self._heap
        while heap:
            at, key = heap[0]
            if self._wanted.get(key) == at:
                return at
            heappop(heap)
        return None

    def pop_due(self, now: datetime) -> list[str]:
        """The keys whose time has come, soonest first; their times are forgotten."""
        due: list[str] = []
        while (at := self.next()) is not None and at <= now:
            _, key = heappop(self._heap)
            del self._wanted[key]
            due.append(key)
        return due
