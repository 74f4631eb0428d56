"""Read the partitions of a source as a worker does."""

from typing import TypeVar

from engine.inputs import FixedPartitionedSource, StatefulSourcePartition

X = TypeVar("X")
S = TypeVar("S")


def open_part(
    source: FixedPartitionedSource[X, S], position: S | None = None, part: str | None = None
) -> StatefulSourcePartition[X, S]:
    """Open a partition, by default the only one."""
    if part is None:
        (part,) = source.list_parts()
    return source.build_part("flow.inp", part, position)


def rest_of(
    source: FixedPartitionedSource[X, S], position: S | None = None, part: str | None = None
) -> list[list[X]]:
    """The batches from a position to the end."""
    opened = open_part(source, position, part)
    batches = []
    try:
        while True:
            batches.append(list(opened.next_batch()))
    except StopIteration:
        return batches
    finally:
        opened.close()


def interrupted(source: FixedPartitionedSource[X, S], batches: int) -> list[X]:
    """All items, with an interruption after some batches from which it resumes."""
    opened = open_part(source)
    items: list[X] = []
    try:
        for _ in range(batches):
            items += opened.next_batch()
    except StopIteration:
        pass
    position = opened.snapshot()
    opened.close()
    return items + [item for batch in rest_of(source, position) for item in batch]
