from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from engine.inputs import AbortExecution, StatefulSourcePartition
from engine.testing import (
    TestingSink,
    TestingSource,
    TimeTestingGetter,
    ffwd_iter,
    poll_next_batch,
)

EOF, ABORT, PAUSE = TestingSource.EOF, TestingSource.ABORT, TestingSource.PAUSE


def mixed(*items: Any, batch_size: int = 1) -> TestingSource[int]:
    """A source of numbers and sentinels."""
    return TestingSource(items, batch_size)


def open_part(
    source: TestingSource[int], position: int | None = None
) -> StatefulSourcePartition[int, int]:
    (part,) = source.list_parts()
    return source.build_part("flow.inp", part, position)


def run(source: TestingSource[int], position: int | None = None) -> tuple[list[list[int]], int]:
    """The batches up to the end of input, and the position there."""
    part = open_part(source, position)
    batches = []
    while True:
        try:
            batches.append(list(part.next_batch()))
        except StopIteration:
            return batches, part.snapshot()


def test_a_batch_holds_one_item_by_default() -> None:
    assert run(TestingSource([1, 2])) == ([[1], [2]], 2)


def test_batches_have_the_size_asked_for() -> None:
    assert run(TestingSource(range(5), batch_size=2)) == ([[0, 1], [2, 3], [4]], 5)


def test_no_items_are_no_batch() -> None:
    assert run(TestingSource([])) == ([], 0)


def test_the_input_stays_at_its_end() -> None:
    part = open_part(TestingSource([]))
    for _ in range(2):
        with pytest.raises(StopIteration):
            part.next_batch()


@pytest.mark.parametrize("position", range(6))
def test_resumes_after_what_was_read(position: int) -> None:
    batches, end = run(TestingSource(range(5), batch_size=2), position)
    assert [item for batch in batches for item in batch] == list(range(position, 5))
    assert end == max(position, 5)


def test_an_eof_ends_one_run_and_the_next_goes_on_after_it() -> None:
    source = mixed(1, 2, EOF(), 3, EOF(), EOF(), 4, batch_size=10)
    position, runs = 0, []
    for _ in range(4):
        batches, position = run(source, position)
        runs.append([item for batch in batches for item in batch])
    assert runs == [[1, 2], [3], [], [4]]


def test_an_abort_ends_one_run_and_no_item_is_lost_or_doubled_after_it() -> None:
    source = mixed(1, ABORT(), 2, 3, batch_size=2)
    part = open_part(source)
    assert part.next_batch() == [1]
    with pytest.raises(AbortExecution):
        part.next_batch()
    resumed = open_part(source, part.snapshot())
    assert resumed.next_batch() == [2, 3]
    assert run(source, resumed.snapshot()) == ([], 4)


def test_a_pause_gives_nothing_for_its_time() -> None:
    part = open_part(mixed(1, PAUSE(timedelta(hours=1)), 2, batch_size=10))
    assert part.next_awake() is None
    before = datetime.now(UTC)
    assert part.next_batch() == [1]
    awake = part.next_awake()
    assert awake is not None
    assert before <= awake - timedelta(hours=1) <= datetime.now(UTC)
    assert part.next_batch() == [2]
    assert part.next_awake() is None
    with pytest.raises(StopIteration):
        part.next_batch()


def test_a_pause_is_not_repeated_after_a_resume() -> None:
    source = mixed(PAUSE(timedelta(hours=1)), 1)
    part = open_part(source)
    assert part.next_batch() == []
    assert run(source, part.snapshot()) == ([[1]], 2)


def test_an_iterable_is_taken_no_further_than_needed() -> None:
    taken = []

    def numbers() -> Iterator[int]:
        for number in range(10):
            taken.append(number)
            yield number

    open_part(TestingSource(numbers(), batch_size=3)).next_batch()
    assert taken == [0, 1, 2]


def test_a_sink_appends_to_its_list() -> None:
    out = ["before"]
    sink = TestingSink(out)
    for worker in (0, 1):
        sink.build("flow.out", worker, 2).write_batch([f"of {worker}"])
    assert out == ["before", "of 0", "of 1"]


def test_a_clock_moves_only_when_told_to() -> None:
    clock = TimeTestingGetter(datetime(2024, 1, 1, tzinfo=UTC))
    clock.advance(timedelta(days=1))
    assert clock.get() == clock.now == datetime(2024, 1, 2, tzinfo=UTC)


def test_an_iterator_may_end_while_it_is_forwarded() -> None:
    letters = iter("ab")
    ffwd_iter(letters, 5)
    assert list(letters) == []


def test_polls_until_there_are_items() -> None:
    never = timedelta(0)
    part = open_part(mixed(PAUSE(never), PAUSE(never), 1))
    assert poll_next_batch(part) == [1]


def test_polling_has_a_limit() -> None:
    class Silent(StatefulSourcePartition[int, None]):
        def next_batch(self) -> list[int]:
            return []

        def snapshot(self) -> None:
            return None

    with pytest.raises(TimeoutError, match="Silent gave no items"):
        poll_next_batch(Silent(), timedelta(0))
