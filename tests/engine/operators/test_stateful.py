from datetime import UTC, datetime

import pytest

import engine.operators as op

NOON = datetime(2024, 1, 1, 12, tzinfo=UTC)


class Pairs(op.StatefulLogic[int, tuple[int, ...], int | None]):
    """Passes on two values at a time, or one at noon or the end."""

    def __init__(self, first):
        self.first = first

    def on_item(self, value):
        if self.first is None:
            self.first = value
            return (), self.RETAIN
        return [(self.first, value)], self.DISCARD

    def on_notify(self):
        return [(self.first,)], self.DISCARD

    def on_eof(self):
        return [(self.first,)], self.DISCARD

    def notify_at(self):
        return NOON

    def snapshot(self):
        return self.first


def flat(chunks):
    return [item for chunk in chunks for item in chunk]


@pytest.mark.parametrize("batch_size", [1, 2, 10])
def test_gives_a_logic_the_values_of_its_key_one_by_one(keyed, batch_size):
    operator = keyed(lambda s: op.stateful("step", s, Pairs))
    items = [("a", 1), ("b", 2), ("a", 3), ("a", 4), ("b", 5), ("a", 6), ("c", 7)]
    out = []
    for start in range(0, len(items), batch_size):
        out += flat(operator.on_items(items[start : start + batch_size]))
    out += flat(operator.on_eof())
    assert sorted(out) == [("a", (1, 3)), ("a", (4, 6)), ("b", (2, 5)), ("c", (7,))]


def test_takes_items_that_the_sender_has_grouped(keyed):
    operator = keyed(lambda s: op.stateful("step", s, Pairs))
    assert flat(operator.on_groups([("a", [1, 2, 3]), ("b", [4])])) == [("a", (1, 2))]
    assert flat(operator.on_eof()) == [("a", (3,)), ("b", (4,))]


def test_notifies_keys_when_they_are_due(keyed):
    operator = keyed(lambda s: op.stateful("step", s, Pairs))
    flat(operator.on_items([("a", 1), ("b", 1), ("b", 2)]))
    assert operator.next_notify() == NOON
    assert flat(operator.on_notify(NOON)) == [("a", (1,))]
    assert operator.next_notify() is None


def test_runs_in_a_dataflow(run):
    items = [("a", 1), ("a", 2), ("b", 3), ("b", 4)]
    assert run(lambda s: op.stateful("step", s, Pairs), items) == [("a", (1, 2)), ("b", (3, 4))]


def test_refuses_a_result_of_another_shape(fails):
    class Wrong(Pairs):
        def on_item(self, value):
            return [value]

    error = fails(lambda s: op.stateful("step", s, Wrong), [("a", 1)])
    assert isinstance(error, TypeError)
    assert "`on_item` has to return a 2-tuple" in str(error)


def test_refuses_an_item_without_a_str_key(fails):
    error = fails(lambda s: op.stateful("step", s, Pairs), [(1, 1)])
    assert isinstance(error, TypeError)
    assert "a key has to be a str, not the int 1" in str(error)
