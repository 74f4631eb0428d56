"""The protocols of a source, and what helps to write one.

A source is either a `FixedPartitionedSource`, whose partitions have names and positions that
can be resumed from, or a `DynamicSource`, of which every worker reads its own share.
Sources that are ready to use are in `engine.connectors`.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Generic, TypeVar, cast

from engine.batching import batch, batch_async, batch_getter, batch_getter_ex

if TYPE_CHECKING:
    # Only a checker needs the default; the runtime's own `TypeVar` has it from Python 3.13.
    from typing_extensions import TypeVar as TypeVarWithDefault

    Sn = TypeVarWithDefault("Sn", default=None)
else:
    Sn = TypeVar("Sn")

__all__ = [
    "AbortExecution",
    "DynamicSource",
    "FixedPartitionedSource",
    "S",
    "SimplePollingSource",
    "Sn",
    "Source",
    "StatefulSourcePartition",
    "StatelessSourcePartition",
    "X",
    "batch",
    "batch_async",
    "batch_getter",
    "batch_getter_ex",
]

X = TypeVar("X")
S = TypeVar("S")


class AbortExecution(RuntimeError):  # noqa: N818 (a name that users know from Bytewax)
    """Ends a run as a crash would, for tests; raise it from `next_batch`."""


class Source(ABC, Generic[X]):
    """Where items come from; subclass one of its two kinds instead."""


class StatelessSourcePartition(ABC, Generic[X]):
    """A part of a source that is read from where it happens to be."""

    @abstractmethod
    def next_batch(self) -> Iterable[X]:
        """Read the items that are there, without waiting for more.

        Returns:
            The items; empty if there are none yet.

        Raises:
            StopIteration: When there will never be another item.
        """

    def next_awake(self) -> datetime | None:
        """Say when `next_batch` is to be called again.

        It is asked after the partition was built and after each batch; an answer counts
        until the next one.

        Returns:
            A time with a time zone; `None` for at once, or after a short pause if the last
            batch was empty.
        """
        return None

    def close(self) -> None:
        """Release what the partition holds, at the end of its input.

        A run that is cut short may never call it.
        """


class StatefulSourcePartition(StatelessSourcePartition[X], Generic[X, S]):
    """A part of a source that knows its position."""

    @abstractmethod
    def snapshot(self) -> S:
        """Give the position of the first item that no batch has returned yet.

        It is never called after `close`.

        Returns:
            What `FixedPartitionedSource.build_part` gets as `resume_state`.
        """


class FixedPartitionedSource(Source[X], Generic[X, S]):
    """A source of named partitions, each read by one worker.

    A partition that is listed by several workers is read by one of them.
    """

    @abstractmethod
    def list_parts(self) -> list[str]:
        """Name the partitions that this worker can read.

        Equal names mean equal data, on whichever worker.
        """

    def on_no_parts(self) -> None:
        """Called once when no worker lists a partition; raise to refuse."""

    @abstractmethod
    def build_part(
        self, step_id: str, for_part: str, resume_state: S | None
    ) -> StatefulSourcePartition[X, S]:
        """Open a partition.

        Args:
            step_id: Fully qualified ID of the input step.
            for_part: A name that `list_parts` gave on this worker.
            resume_state: The position to go on from; `None` to begin.
        """


class DynamicSource(Source[X]):
    """A source of which every worker reads its own share, without a position."""

    @abstractmethod
    def build(
        self, step_id: str, worker_index: int, worker_count: int
    ) -> StatelessSourcePartition[X]:
        """Open the share of one worker.

        Args:
            step_id: Fully qualified ID of the input step.
            worker_index: Index of the worker in the cluster, from 0.
            worker_count: Workers in the cluster.
        """


class _PollingPartition(StatefulSourcePartition[X, Sn]):
    def __init__(
        self, source: "SimplePollingSource[X, Sn]", first: datetime, interval: timedelta
    ) -> None:
        self._source = source
        self._awake = first
        self._interval = interval

    def next_batch(self) -> list[X]:
        try:
            item = self._source.next_item()
        except SimplePollingSource.Retry as retry:
            self._awake += retry.timeout
            return []
        self._awake += self._interval
        return [] if item is None else [item]

    def next_awake(self) -> datetime:
        return self._awake

    def snapshot(self) -> Sn:
        return self._source.snapshot()


class SimplePollingSource(FixedPartitionedSource[X, Sn]):
    """A source that one worker asks for an item at regular times.

    Override `next_item`, and `snapshot` and `resume` if the source has a position. It is meant
    for intervals of seconds or more.

    Args:
        interval: From one call of `next_item` to the next.
        align_to: A time with a time zone that is one of the times to call at; by default the
            time at which the partition is built.

    >>> from datetime import timedelta
    >>> class Countdown(SimplePollingSource[int]):
    ...     left = 2
    ...
    ...     def next_item(self):
    ...         if not self.left:
    ...             raise StopIteration
    ...         self.left -= 1
    ...         return self.left
    >>> part = Countdown(timedelta(seconds=1)).build_part("flow.inp", "singleton", None)
    >>> part.next_batch(), part.next_batch()
    ([1], [0])
    """

    @dataclass
    class Retry(Exception):  # noqa: N818 (a name that users know from Bytewax)
        """Raised by `next_item` to be called again sooner than at the next regular time.

        Args:
            timeout: How long to wait.
        """

        timeout: timedelta

    if not TYPE_CHECKING:

        def __class_getitem__(cls, params: Any) -> Any:
            """Let the type of the position be left out."""
            if cls is SimplePollingSource and not isinstance(params, tuple):
                params = (params, None)
            return super().__class_getitem__(params)

    def __init__(self, interval: timedelta, align_to: datetime | None = None) -> None:
        self._interval = interval
        self._align_to = align_to

    def list_parts(self) -> list[str]:
        """Name the only partition."""
        return ["singleton"]

    def build_part(
        self,
        step_id: str,  # noqa: ARG002
        for_part: str,  # noqa: ARG002
        resume_state: Sn | None,
    ) -> StatefulSourcePartition[X, Sn]:
        """Begin to poll, after `resume` if there is a position."""
        if resume_state is not None:
            self.resume(resume_state)
        first = datetime.now(UTC)
        if self._align_to is not None:
            # Python's remainder is never negative: this is the time up to the next mark.
            first += (self._align_to - first) % self._interval
        return _PollingPartition(self, first, self._interval)

    @abstractmethod
    def next_item(self) -> X | None:
        """Ask for the next item.

        Returns:
            The item; `None` if there is none this time.

        Raises:
            Retry: To be called again after another time than the interval.
            StopIteration: When there will never be another item.
        """

    def snapshot(self) -> Sn:
        """Give the position after the last item; `None`, the default, stores nothing."""
        return cast("Sn", None)

    def resume(self, resume_state: Sn) -> None:
        """Go back to a position, before the first `next_item` of a resumed run.

        Args:
            resume_state: What `snapshot` returned.
        """
