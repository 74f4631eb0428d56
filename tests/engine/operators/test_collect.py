from datetime import UTC, datetime, timedelta

import pytest

import engine.operators as op
from engine.dataflow import Dataflow
from engine.errors import DataflowError
from engine.operators import collecting
from engine.testing import TestingSource, TimeTestingGetter

SECOND = timedelta(seconds=1)


def flat(chunks):
    return [item for chunk in chunks for item in chunk]


@pytest.fixture
def clock(monkeypatch):
    clock = TimeTestingGetter(datetime(2024, 1, 1, tzinfo=UTC))
    monkeypatch.setattr(collecting, "worker_now", clock.get)
    return clock


@pytest.mark.parametrize("batch_size", [1, 2, 10])
def test_passes_on_full_lists_and_the_rest_at_the_end(run, batch_size):
    items = [("a", n) for n in range(5)] + [("b", 9)]
    out = run(lambda s: op.collect("step", s, 60 * SECOND, 2), items, batch_size)
    assert out == [("a", [0, 1]), ("a", [2, 3]), ("a", [4]), ("b", [9])]


def test_passes_on_what_there_is_after_the_timeout(keyed, clock):
    operator = keyed(lambda s: op.collect("step", s, timeout=10 * SECOND, max_size=3))
    flat(operator.on_items([("a", 1)]))
    clock.advance(6 * SECOND)
    flat(operator.on_items([("a", 2), ("b", 3)]))
    assert operator.next_notify() == clock.now + 10 * SECOND
    clock.advance(6 * SECOND)
    assert flat(operator.on_notify(clock.now)) == []
    clock.advance(4 * SECOND)
    assert flat(operator.on_notify(clock.now)) == [("a", [1, 2]), ("b", [3])]
    assert operator.next_notify() is None
    assert flat(operator.on_eof()) == []


def test_forgets_the_timeout_with_the_list(keyed, clock):
    operator = keyed(lambda s: op.collect("step", s, timeout=10 * SECOND, max_size=2))
    flat(operator.on_items([("a", 1)]))
    assert flat(operator.on_items([("a", 2)])) == [("a", [1, 2])]
    assert operator.next_notify() is None


def test_snapshots_can_be_resumed_from(clock) -> None:
    logic: collecting._CollectLogic[int] = collecting._CollectLogic(clock.get, SECOND, 3, None)
    logic.on_batch([1, 2])
    resumed: collecting._CollectLogic[int] = collecting._CollectLogic(
        clock.get, SECOND, 3, logic.snapshot()
    )
    logic.on_batch([7])
    assert resumed.notify_at() == clock.now + SECOND
    assert resumed.on_batch([3]) == ([[1, 2, 3]], True)


def test_refuses_a_size_less_than_one():
    s = op.input("inp", Dataflow("flow"), TestingSource([("a", 1)]))
    with pytest.raises(DataflowError, match=r"flow\.step.*`max_size` is 0"):
        op.collect("step", s, SECOND, 0)
