"""The protocols of a sink.

A sink is either a `FixedPartitionedSink`, which takes `(key, value)` items and whose partitions
have names and positions that can be resumed from, or a `DynamicSink`, to which every worker
writes its own items. Sinks that are ready to use are in `engine.connectors`.
"""

from abc import ABC, abstractmethod
from typing import Generic, TypeVar
from zlib import adler32

__all__ = [
    "DynamicSink",
    "FixedPartitionedSink",
    "S",
    "Sink",
    "StatefulSinkPartition",
    "StatelessSinkPartition",
    "X",
]

X = TypeVar("X")
S = TypeVar("S")


class Sink(ABC, Generic[X]):
    """Where items go; subclass one of its two kinds instead."""


class StatelessSinkPartition(ABC, Generic[X]):
    """A part of a sink that is written where it happens to be."""

    @abstractmethod
    def write_batch(self, items: list[X]) -> None:
        """Write items, in their order.

        Args:
            items: One or more; how many come together is not to be relied on.
        """

    def close(self) -> None:
        """Release what the partition holds, at the end of the input.

        A run that is cut short may never call it.
        """


class StatefulSinkPartition(ABC, Generic[X, S]):
    """A part of a sink that knows its position."""

    @abstractmethod
    def write_batch(self, values: list[X]) -> None:
        """Write values, in their order.

        Args:
            values: The values of `(key, value)` items, one or more; how many come together is
                not to be relied on.
        """

    @abstractmethod
    def snapshot(self) -> S:
        """Give the position after the last value that was written.

        It is never called after `close`. What was written before it has to survive a crash.

        Returns:
            What `FixedPartitionedSink.build_part` gets as `resume_state`.
        """

    def close(self) -> None:
        """Release what the partition holds, at the end of the input.

        A run that is cut short may never call it.
        """


class FixedPartitionedSink(Sink[tuple[str, X]], Generic[X, S]):
    """A sink of named partitions, each written by one worker; the key of an item picks its own.

    A partition that is listed by several workers is written by one of them.
    """

    @abstractmethod
    def list_parts(self) -> list[str]:
        """Name the partitions that this worker can write."""

    def part_fn(self, item_key: str) -> int:
        """Pick the partition of a key.

        It has to be the same in every process and every run, as `hash` is not.

        Args:
            item_key: Key of an item.

        Returns:
            Index, modulo their number, into the sorted names of all partitions of the cluster;
            by default the key's Adler-32 checksum.
        """
        return adler32(item_key.encode())

    @abstractmethod
    def build_part(
        self, step_id: str, for_part: str, resume_state: S | None
    ) -> StatefulSinkPartition[X, S]:
        """Open a partition.

        Args:
            step_id: Fully qualified ID of the output step.
            for_part: A name that `list_parts` gave on this worker.
            resume_state: The position to go on from; `None` to begin.
        """


class DynamicSink(Sink[X]):
    """A sink to which every worker writes its own items, without a position."""

    @abstractmethod
    def build(
        self, step_id: str, worker_index: int, worker_count: int
    ) -> StatelessSinkPartition[X]:
        """Open the share of one worker.

        Args:
            step_id: Fully qualified ID of the output step.
            worker_index: Index of the worker in the cluster, from 0.
            worker_count: Workers in the cluster.
        """
