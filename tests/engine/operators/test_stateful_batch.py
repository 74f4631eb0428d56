from datetime import UTC, datetime, timedelta

import pytest

import engine.operators as op

NOON = datetime(2024, 1, 1, 12, tzinfo=UTC)


class Recorder(op.StatefulBatchLogic[int, object, None]):
    """Passes on what it is called with; discards itself after a negative value."""

    def __init__(self, wake=None):
        self.wake = wake

    def on_batch(self, values):
        return [tuple(values)], min(values) < 0

    def on_notify(self):
        self.wake = None
        return ["notified"], self.RETAIN

    def on_eof(self):
        return ["eof"], self.RETAIN

    def notify_at(self):
        return self.wake

    def snapshot(self):
        return None


def flat(chunks):
    return [item for chunk in chunks for item in chunk]


def recorders(keyed, wakes=()):
    built = []
    times = iter(wakes)

    def build(_resume):
        built.append(Recorder(next(times, None)))
        return built[-1]

    return keyed(lambda s: op.stateful_batch("step", s, build)), built


def test_gives_a_logic_all_values_of_its_key_in_a_batch(run):
    items = [("b", 1), ("a", 2), ("b", 3)]
    out = run(lambda s: op.stateful_batch("step", s, lambda _: Recorder()), items, 3)
    assert out == [("b", (1, 3)), ("a", (2,)), ("a", "eof"), ("b", "eof")]


def test_takes_items_that_the_sender_has_grouped(keyed):
    operator, _ = recorders(keyed)
    assert flat(operator.on_groups([("a", [1, 2]), ("b", [3])])) == [("a", (1, 2)), ("b", (3,))]


def test_builds_a_new_logic_after_one_was_discarded(keyed):
    operator, built = recorders(keyed)
    for value in (1, -1, 2):
        flat(operator.on_items([("a", value)]))
    assert len(built) == 2
    assert flat(operator.on_eof()) == [("a", "eof")]


def test_keeps_a_logic_that_is_falsy(keyed):
    class Empty(Recorder):
        def __len__(self):
            return 0

    built = []

    def build(_resume):
        built.append(Empty())
        return built[-1]

    operator = keyed(lambda s: op.stateful_batch("step", s, build))
    flat(operator.on_items([("a", 1)]))
    flat(operator.on_items([("a", 2)]))
    assert len(built) == 1


def test_notifies_keys_when_they_are_due(keyed):
    operator, _ = recorders(keyed, [NOON + timedelta(seconds=s) for s in (2, 1, 9)])
    assert operator.next_notify() is None
    flat(operator.on_items([("a", 1), ("b", 2), ("c", 3)]))
    assert operator.next_notify() == NOON + timedelta(seconds=1)
    assert flat(operator.on_notify(NOON)) == []
    assert flat(operator.on_notify(NOON + timedelta(seconds=2))) == [
        ("b", "notified"),
        ("a", "notified"),
    ]
    assert operator.next_notify() == NOON + timedelta(seconds=9)


def test_asks_for_the_time_again_after_each_call(keyed):
    operator, built = recorders(keyed, [NOON])
    flat(operator.on_items([("a", 1)]))
    built[0].wake = NOON + timedelta(hours=1)
    flat(operator.on_items([("a", 2)]))
    assert operator.next_notify() == NOON + timedelta(hours=1)
    assert flat(operator.on_notify(NOON)) == []


def test_forgets_the_time_of_a_discarded_logic(keyed):
    operator, _ = recorders(keyed, [NOON])
    flat(operator.on_items([("a", 1)]))
    flat(operator.on_items([("a", -1)]))
    assert operator.next_notify() is None
    assert flat(operator.on_notify(NOON)) == []


def test_discards_only_after_the_values_were_pulled(keyed) -> None:
    events: list[object] = []

    def pull(value):
        events.append(value)
        return value

    class Lazy(Recorder):
        def on_batch(self, values):
            return map(pull, range(5000)), self.DISCARD

        def notify_at(self):
            events.append("notify_at")

    operator = keyed(lambda s: op.stateful_batch("step", s, lambda _: Lazy()))
    chunks = operator.on_items([("a", 1)])
    first = next(chunks)
    assert len(events) == len(first) < 5000
    assert len(first) + len(flat(chunks)) == 5000
    assert "notify_at" not in events


@pytest.mark.parametrize("item", [5, (1, 2), (None, 1), ([], 1)])
def test_refuses_an_item_without_a_str_key(fails, item):
    error = fails(lambda s: op.stateful_batch("step", s, lambda _: Recorder()), [("a", 1), item])
    assert isinstance(error, TypeError)
    assert "see `key_on`" in str(error)


@pytest.mark.parametrize("result", [None, [1], (1, 2, 3), ([1], None), ([1], 0)])
def test_refuses_a_result_of_another_shape(fails, result):
    class Wrong(Recorder):
        def on_batch(self, values):
            return result

    error = fails(lambda s: op.stateful_batch("step", s, lambda _: Wrong()), [("a", 1)])
    assert isinstance(error, TypeError)
    assert "`on_batch` has to return a 2-tuple" in str(error)


def test_refuses_values_that_are_no_iterable(fails):
    class Wrong(Recorder):
        def on_batch(self, values):
            return 5, self.RETAIN

    error = fails(lambda s: op.stateful_batch("step", s, lambda _: Wrong()), [("a", 1)])
    assert isinstance(error, TypeError)
    assert "an iterable, not the int 5" in str(error)


def test_refuses_a_builder_that_makes_something_else(fails):
    def build(_resume):
        return 5

    error = fails(lambda s: op.stateful_batch("step", s, build), [("a", 1)])
    assert isinstance(error, TypeError)
    assert "has to return a StatefulBatchLogic, not the int 5" in str(error)


@pytest.mark.parametrize("wake", [5, datetime(2024, 1, 1)])  # noqa: DTZ001 (the slip under test)
def test_refuses_a_time_without_time_zone(fails, wake):
    error = fails(lambda s: op.stateful_batch("step", s, lambda _: Recorder(wake)), [("a", 1)])
    assert isinstance(error, TypeError)
    assert "`notify_at` has to return a datetime with time zone" in str(error)


@pytest.mark.parametrize("method", ["on_batch", "on_eof", "notify_at"])
def test_does_not_swallow_stop_iteration(fails, method):
    stop = StopIteration()

    def fail(*_):
        raise stop

    broken = type("Broken", (Recorder,), {method: fail})
    assert fails(lambda s: op.stateful_batch("step", s, lambda _: broken()), [("a", 1)]) is stop
