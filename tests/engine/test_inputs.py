import asyncio
import queue
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta

import pytest

from engine import inputs
from engine.inputs import (
    FixedPartitionedSource,
    SimplePollingSource,
    StatefulSourcePartition,
    batch,
    batch_async,
    batch_getter,
    batch_getter_ex,
)

HOUR = timedelta(hours=1)
SOON = timedelta(milliseconds=1)
LATE = timedelta(minutes=1)


def test_the_public_names() -> None:
    assert inputs.__all__ == [
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


class Silent(StatefulSourcePartition[int, None]):
    def next_batch(self) -> list[int]:
        return []

    def snapshot(self) -> None:
        return None


class Parts(FixedPartitionedSource[int, None]):
    def list_parts(self) -> list[str]:
        return []

    def build_part(self, step_id: str, for_part: str, resume_state: None) -> Silent:
        return Silent()


def test_what_a_partition_may_leave_out() -> None:
    part = Parts().build_part("flow.inp", "one", None)
    assert part.next_awake() is None
    part.close()


def test_a_source_without_partitions_is_fine_by_default() -> None:
    Parts().on_no_parts()


class Counter(SimplePollingSource[int, int]):
    """Counts up; gives nothing for 2, and asks for more time at 3."""

    def __init__(self, align_to: datetime | None = None) -> None:
        super().__init__(HOUR, align_to)
        self.count = 0

    def next_item(self) -> int | None:
        self.count += 1
        if self.count == 3:
            raise SimplePollingSource.Retry(timedelta(seconds=1))
        return None if self.count == 2 else self.count

    def snapshot(self) -> int:
        return self.count

    def resume(self, resume_state: int) -> None:
        self.count = resume_state


def test_polls_at_each_interval_or_when_the_source_says() -> None:
    part = Counter().build_part("flow.inp", "singleton", None)
    times, batches = [part.next_awake()], []
    for _ in range(4):
        batches.append(part.next_batch())
        times.append(part.next_awake())
    assert batches == [[1], [], [], [4]]
    first = times[0]
    assert first is not None
    assert first <= datetime.now(UTC)
    assert [time - first for time in times if time is not None] == [
        timedelta(0),
        HOUR,
        2 * HOUR,
        2 * HOUR + timedelta(seconds=1),
        3 * HOUR + timedelta(seconds=1),
    ]


def test_the_first_poll_is_at_the_next_time_of_the_alignment() -> None:
    before = datetime.now(UTC)
    awake = Counter(datetime(2000, 1, 1, 0, 17, tzinfo=UTC)).build_part("", "", None).next_awake()
    assert awake is not None
    assert (awake.minute, awake.second, awake.microsecond) == (17, 0, 0)
    assert before <= awake <= datetime.now(UTC) + HOUR


def test_an_alignment_may_lie_in_the_future() -> None:
    mark = datetime.now(UTC) + timedelta(minutes=30)
    assert Counter(mark).build_part("", "", None).next_awake() == mark


def test_a_poll_goes_on_from_its_position() -> None:
    part = Counter().build_part("flow.inp", "singleton", 10)
    assert part.next_batch() == [11]
    assert part.snapshot() == 11


def test_a_poll_without_a_position_stores_nothing() -> None:
    class Once(SimplePollingSource[str]):
        def next_item(self) -> str:
            return "item"

    source = Once(HOUR)
    assert source.list_parts() == ["singleton"]
    assert source.build_part("flow.inp", "singleton", None).snapshot() is None


def test_batch_takes_no_more_than_it_gives() -> None:
    items = iter(range(5))
    assert next(batch(items, 2)) == [0, 1]
    assert next(items) == 2


def test_batch_of_nothing_is_no_batch() -> None:
    assert list(batch([], 2)) == []


def test_batch_getter_yields_what_is_there() -> None:
    results: Iterator[int | None] = iter([1, 2, 3, None, None, 4])
    assert list(batch_getter(lambda: next(results), 2)) == [[1, 2], [3], [], [4]]


def test_batch_getter_knows_another_sign_of_nothing() -> None:
    results = iter([1, -1, 2])
    assert list(batch_getter(lambda: next(results), 2, yield_on=-1)) == [[1], [2]]


def test_batch_getter_ex_yields_what_is_there() -> None:
    results: queue.SimpleQueue[int] = queue.SimpleQueue()
    batches = batch_getter_ex(results.get_nowait, 2)
    for item in (1, 2, 3):
        results.put(item)
    assert [next(batches) for _ in range(3)] == [[1, 2], [3], []]


def test_batch_getter_ex_ends_with_its_getter() -> None:
    results = iter([1])
    batches = batch_getter_ex(lambda: next(results), 2, yield_ex=KeyError)
    assert list(batches) == [[1]]


async def numbers_until(gate: asyncio.Event) -> AsyncIterator[int]:
    yield 1
    await gate.wait()
    yield 2
    raise ConnectionResetError


def test_batch_async_loses_no_item_that_is_late() -> None:
    gate = asyncio.Event()
    batches = batch_async(numbers_until(gate), SOON, 10)
    seen = [next(batches)]
    seen.append(next(batches))
    gate.set()
    with pytest.raises(ConnectionResetError):
        seen.extend(batches)
    assert [item for taken in seen for item in taken] == [1, 2]
    assert [] in seen


def test_batch_async_gives_an_exception_after_the_items_before_it() -> None:
    gate = asyncio.Event()
    gate.set()
    batches = batch_async(numbers_until(gate), LATE, 10)
    assert next(batches) == [1, 2]
    with pytest.raises(ConnectionResetError):
        next(batches)


def test_batch_async_cuts_at_its_size() -> None:
    async def letters() -> AsyncIterator[str]:
        for letter in "abcde":
            yield letter

    assert list(batch_async(letters(), LATE, 2)) == [["a", "b"], ["c", "d"], ["e"]]


def test_batch_async_leaves_a_loop_open_that_is_not_its_own() -> None:
    loop = asyncio.new_event_loop()
    gate = asyncio.Event()
    batches = batch_async(numbers_until(gate), SOON, 1, loop)
    assert next(batches) == [1]
    assert next(batches) == []
    del batches
    assert not asyncio.all_tasks(loop)
    loop.run_until_complete(loop.shutdown_asyncgens())
    loop.close()
