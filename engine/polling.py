"""Poll source partitions when they are due."""

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any

from engine.inputs import StatefulSourcePartition, StatelessSourcePartition

SourcePartition = StatefulSourcePartition[Any, Any] | StatelessSourcePartition[Any]

_BACKOFF_FIRST = timedelta(milliseconds=1)
_BACKOFF_MOST = timedelta(milliseconds=50)
_DEFAULT_AWAKE = (StatefulSourcePartition.next_awake, StatelessSourcePartition.next_awake)


class Polled:
    """A source partition and when to poll it next.

    A partition that gives nothing and names no time is polled less and less often, down to
    every 50 ms.

    Args:
        part: The partition.
    """

    def __init__(self, part: SourcePartition) -> None:
        self.part = part
        self.ended = False
        self._asks = type(part).next_awake not in _DEFAULT_AWAKE
        self._backoff = _BACKOFF_FIRST
        self.due: datetime | None = part.next_awake() if self._asks else None

    def is_due(self, now: datetime) -> bool:
        """Whether it should be polled."""
        return not self.ended and (self.due is None or self.due <= now)

    def poll(self, now: datetime) -> Iterable[Any]:
        """Get the next batch; `ended` is set where there is none any more.

        Raises:
            Exception: Whatever the partition raises, but for `StopIteration`.
        """
        try:
            batch = self.part.next_batch()
        except StopIteration:
            self.close()
            return ()
        self.due = self.part.next_awake() if self._asks else None
        if batch:
            self._backoff = _BACKOFF_FIRST
        elif self.due is None:
            self.due = now + self._backoff
            self._backoff = min(self._backoff * 2, _BACKOFF_MOST)
        return batch

    def close(self) -> None:
        """Close the partition, once; it is polled no more."""
        if not self.ended:
            self.ended = True
            self.part.close()
