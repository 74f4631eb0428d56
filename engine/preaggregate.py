"""What one worker runs to combine items before they are exchanged."""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import Any


class PreAggregate(ABC):
    """Partial results of one step on one worker.

    It is emptied at every barrier, so that it is never part of a snapshot, and whenever
    it holds too many keys.
    """

    @abstractmethod
    def on_items(self, items: list[Any]) -> Iterator[list[tuple[str, Any]]]:
        """Take a batch; give partial results if there are too many to hold."""

    @abstractmethod
    def flush(self) -> Iterator[list[tuple[str, Any]]]:
        """Give all partial results and forget them."""
