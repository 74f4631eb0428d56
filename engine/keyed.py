"""What one worker runs for a keyed step."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Any

KeyedItem = tuple[str, Any]


class KeyedOperator(ABC):
    """State of the keys of one keyed step on one worker.

    Each method gives its output as an iterator of lists of `(key, value)` items, which
    the worker pulls one list at a time and always to its end before it calls another.
    """

    @abstractmethod
    def on_items(self, items: list[KeyedItem]) -> Iterator[list[KeyedItem]]:
        """Take a batch of items, in the order in which they came.

        Raises:
            TypeError: If an item is not a 2-tuple with a `str` key.
        """

    @abstractmethod
    def on_groups(self, groups: Iterable[tuple[str, list[Any]]]) -> Iterator[list[KeyedItem]]:
        """Take a batch that the sender has grouped by key."""

    def on_notify(self, now: datetime) -> Iterator[list[KeyedItem]]:  # noqa: ARG002
        """Handle every key whose notification is due at `now`."""
        return iter(())

    def on_eof(self) -> Iterator[list[KeyedItem]]:
        """Handle the end of input of every key."""
        return iter(())

    def next_notify(self) -> datetime | None:
        """When the next key wants to be notified."""
        return None
