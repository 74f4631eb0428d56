"""Poll source partitions when they are due."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

from engine.chunks import chunks
from engine.inputs import StatefulSourcePartition, StatelessSourcePartition
from engine.shapes import iterate, shown

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
        self.due = self._next_awake()

    def is_due(self, now: datetime) -> bool:
        """Whether it should be polled."""
        return not self.ended and (self.due is None or self.due <= now)

    def poll(self, now: datetime) -> tuple[list[Any], Iterator[list[Any]] | None]:
        """Get the next batch; `ended` is set where there is none any more.

        Returns:
            Items, and the lists of those that follow if the partition gave an iterator.

        Raises:
            Exception: Whatever the partition raises, but for `StopIteration`.
        """
        try:
            batch = self.part.next_batch()
        except StopIteration:
            self.close()
            return [], None
        rest = None
        if isinstance(batch, list):
            items = batch
        else:
            rest = chunks(iter, (iterate(batch, _not_a_batch),), _not_a_batch)
            items = next(rest, [])
        self.due = self._next_awake()
        if items:
            self._backoff = _BACKOFF_FIRST
        elif self.due is None:
            self.due = now + self._backoff
            self._backoff = min(self._backoff * 2, _BACKOFF_MOST)
        return items, rest

    def _next_awake(self) -> datetime | None:
        due = self.part.next_awake() if self._asks else None
        if due is not None and (not isinstance(due, datetime) or due.tzinfo is None):
            msg = f"next_awake has to return a datetime with a time zone or None, not {shown(due)}"
            raise TypeError(msg)
        return due

    def close(self) -> None:
        """Close the partition, once; it is polled no more."""
        if not self.ended:
            self.ended = True
            self.part.close()


def _not_a_batch(got: object) -> TypeError:
    return TypeError(f"next_batch has to return an iterable, not {shown(got)}")
