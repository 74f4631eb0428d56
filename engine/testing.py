"""What tests of a dataflow, and of a source or a sink, are made with."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import chain, islice
from typing import Any, ClassVar, TypeVar

from engine.dataflow import Dataflow
from engine.inputs import (
    AbortExecution,
    FixedPartitionedSource,
    StatefulSourcePartition,
    StatelessSourcePartition,
)
from engine.outputs import DynamicSink, StatelessSinkPartition

X = TypeVar("X")


@dataclass
class TimeTestingGetter:
    """A clock that a test sets; its `get` is what is passed where a clock is wanted.

    Args:
        now: The time it shows.
    """

    now: datetime

    def advance(self, td: timedelta) -> None:
        """Set the clock forward.

        Args:
            td: By how much.
        """
        self.now += td

    def get(self) -> datetime:
        """The time it shows."""
        return self.now


def ffwd_iter(it: Iterator[Any], n: int) -> None:
    """Drop items of an iterator.

    Args:
        it: The iterator.
        n: How many; fewer are dropped if it ends.

    >>> letters = iter("abcd")
    >>> ffwd_iter(letters, 2)
    >>> next(letters)
    'c'
    """
    for _ in islice(it, n):
        pass


def poll_next_batch(
    part: StatelessSourcePartition[X], timeout: timedelta = timedelta(seconds=5)
) -> list[X]:
    """Ask a source partition, again and again, until it gives items.

    Args:
        part: The partition.
        timeout: How long to go on asking.

    Raises:
        TimeoutError: If it gives none in that time.
        StopIteration: If its input ends.
    """
    deadline = datetime.now(UTC) + timeout
    while not (items := list(part.next_batch())):
        if datetime.now(UTC) > deadline:
            msg = f"{type(part).__name__} gave no items within {timeout}"
            raise TimeoutError(msg)
    return items


class TestingSource(FixedPartitionedSource[X, int]):
    """A source of the items of an iterable, all of which one worker reads.

    The iterable has to be the same on all workers. One that can be gone through only once, as a
    generator, cannot be resumed from. Between items it may hold sentinels, each of which also
    ends its batch.

    Args:
        ib: Items and sentinels.
        batch_size: Items in a batch at most.

    >>> source = TestingSource([1, 2, TestingSource.EOF(), 3], batch_size=10)
    >>> part = source.build_part("flow.inp", "iterable", None)
    >>> part.next_batch(), part.snapshot()
    ([1, 2], 3)
    >>> source.build_part("flow.inp", "iterable", 3).next_batch()
    [3]
    """

    # Else pytest takes it for a test because of its name.
    __test__: ClassVar[bool] = False

    @dataclass
    class EOF:
        """Sentinel: ends the input of this run; the next one goes on with the item after it."""

    @dataclass
    class ABORT:
        """Sentinel: ends the run as a crash would, once; a run that resumes passes over it.

        The other workers of a cluster do not hear of it.
        """

        _triggered: bool = False

        def trigger(self) -> bool:
            """Whether this is the first time."""
            first, self._triggered = not self._triggered, True
            return first

    @dataclass
    class PAUSE:
        """Sentinel: gives no items for a while.

        Args:
            for_duration: How long.
        """

        for_duration: timedelta

    def __init__(self, ib: Iterable[X | EOF | ABORT | PAUSE], batch_size: int = 1) -> None:
        self._ib = ib
        self._batch_size = batch_size

    def list_parts(self) -> list[str]:
        """Name the only partition."""
        return ["iterable"]

    def build_part(
        self,
        step_id: str,  # noqa: ARG002
        for_part: str,  # noqa: ARG002
        resume_state: int | None,
    ) -> StatefulSourcePartition[X, int]:
        """Go through the iterable, from the position if there is one."""
        return _IterablePartition(self._ib, self._batch_size, resume_state or 0)


_SENTINELS = frozenset((TestingSource.EOF, TestingSource.ABORT, TestingSource.PAUSE))


class _IterablePartition(StatefulSourcePartition[X, int]):
    def __init__(self, ib: Iterable[Any], batch_size: int, position: int) -> None:
        self._items = iter(ib)
        self._batch_size = batch_size
        # Sentinels count, so that it is an index into the iterable.
        self._position = position
        self._awake: datetime | None = None
        self._end: Exception | None = None
        ffwd_iter(self._items, position)

    def next_batch(self) -> list[X]:
        self._awake = None
        if self._end is not None:
            raise self._end
        items = list(islice(self._items, self._batch_size))
        if items and _SENTINELS.isdisjoint(map(type, items)):
            self._position += len(items)
            return items
        self._items = chain(items, self._items)
        taken: list[X] = []
        room = self._batch_size
        for item in self._items:
            if type(item) in _SENTINELS:
                if self._stops_at(item):
                    break
                continue
            taken.append(item)
            room -= 1
            if room <= 0:
                break
        else:
            if not taken:
                raise StopIteration
        self._position += len(taken)
        return taken

    def _stops_at(self, sentinel: object) -> bool:
        """Whether the batch ends here; an end of input or an abort is for the next call."""
        if isinstance(sentinel, TestingSource.ABORT) and sentinel.trigger():
            self._end = AbortExecution()
            return True
        self._position += 1
        if isinstance(sentinel, TestingSource.PAUSE):
            self._awake = datetime.now(UTC) + sentinel.for_duration
        elif isinstance(sentinel, TestingSource.EOF):
            self._end = StopIteration()
        return not isinstance(sentinel, TestingSource.ABORT)

    def next_awake(self) -> datetime | None:
        return self._awake

    def snapshot(self) -> int:
        return self._position


class _ListPartition(StatelessSinkPartition[X]):
    def __init__(self, ls: list[X]) -> None:
        self._ls = ls

    def write_batch(self, items: list[X]) -> None:
        self._ls += items


class TestingSink(DynamicSink[X]):
    """A sink that appends to a list, which it never clears.

    Args:
        ls: The list.

    >>> out = []
    >>> TestingSink(out).build("flow.out", 0, 1).write_batch([1, 2])
    >>> out
    [1, 2]
    """

    __test__: ClassVar[bool] = False

    def __init__(self, ls: list[X]) -> None:
        self._ls = ls

    def build(
        self,
        step_id: str,  # noqa: ARG002
        worker_index: int,  # noqa: ARG002
        worker_count: int,  # noqa: ARG002
    ) -> StatelessSinkPartition[X]:
        """Append to the list."""
        return _ListPartition(self._ls)


def run_main(flow: Dataflow, *, epoch_interval: timedelta | None = None) -> None:
    """Run a dataflow on one worker in the current thread.

    Args:
        flow: The dataflow.
        epoch_interval: Time from one epoch to the next; the default is 10 seconds.

    Raises:
        DataflowError: If the dataflow is not well formed.
        DataflowRuntimeError: If user code fails; its exception is the `__cause__`.
    """
    # Flows that run on a cluster import this module for its source and sink only.
    from engine.inline import run_inline

    run_inline(flow, _seconds(epoch_interval))


def cluster_main(
    flow: Dataflow,
    addresses: list[str] | None = None,
    proc_id: int = 0,
    *,
    epoch_interval: timedelta | None = None,
    worker_count_per_proc: int = 1,
) -> None:
    """Run a dataflow as one process of a cluster, in the current process.

    Args:
        flow: The dataflow.
        addresses: The ordered address list, each `host:port`; none for a cluster of one.
        proc_id: Index of this process in that list.
        epoch_interval: Time from one epoch to the next; the default is 10 seconds.
        worker_count_per_proc: Worker threads in each process.

    Raises:
        DataflowError: If the dataflow is not well formed.
        DataflowRuntimeError: If user code fails; its exception is the `__cause__` if it was here.
        EngineError: If the cluster cannot be assembled or loses a process.
    """
    from engine.process import Process
    from engine.settings import ClusterSettings, parse_addresses

    settings = ClusterSettings(
        addresses=parse_addresses(";".join(addresses or [])),
        process_id=proc_id,
        workers=worker_count_per_proc,
        epoch_interval=_seconds(epoch_interval),
    )
    Process(flow, settings).run().raise_failure()


def _seconds(epoch_interval: timedelta | None) -> float:
    return 10.0 if epoch_interval is None else epoch_interval.total_seconds()
