from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from engine.timers import Timers

NOON = datetime(2024, 1, 1, 12, tzinfo=UTC)


def test_the_soonest_comes_first():
    timers = Timers()
    assert not timers
    timers.set("b", NOON + timedelta(seconds=2))
    timers.set("a", NOON + timedelta(seconds=1))
    assert timers
    assert timers.next() == NOON + timedelta(seconds=1)
    assert timers.pop_due(NOON) == []
    assert timers.pop_due(NOON + timedelta(seconds=2)) == ["a", "b"]
    assert timers.next() is None


def test_times_that_were_replaced_do_not_pile_up():
    timers = Timers()
    for second in range(10_000):
        timers.set("a", NOON + timedelta(seconds=second))
    assert len(timers._heap) < 200
    assert timers.pop_due(NOON + timedelta(days=1)) == ["a"]


actions = st.tuples(st.sampled_from("abc"), st.none() | st.integers(0, 9))


@given(st.lists(actions | st.integers(0, 9), max_size=200))
def test_behaves_as_a_dict_of_times(steps) -> None:
    timers = Timers()
    model: dict[str, datetime] = {}
    for step in steps:
        if isinstance(step, int):
            now = NOON + timedelta(seconds=step)
            due = [key for key, at in model.items() if at <= now]
            assert sorted(timers.pop_due(now)) == sorted(due)
            for key in due:
                del model[key]
        else:
            key, second = step
            at = None if second is None else NOON + timedelta(seconds=second)
            timers.set(key, at)
            model.pop(key, None)
            if at is not None:
                model[key] = at
        assert timers.next() == min(model.values(), default=None)
