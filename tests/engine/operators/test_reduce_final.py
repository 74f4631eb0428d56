import pytest

import engine.operators as op

ITEMS = [("b", 10), ("a", 2), ("b", 3), ("b", 4)]


def flat(chunks):
    return [item for chunk in chunks for item in chunk]


def minus(x, y):
    return x - y


@pytest.mark.parametrize("batch_size", [1, 2, 10])
def test_combines_in_order_even_if_that_matters(run, batch_size):
    out = run(lambda s: op.reduce_final("step", s, minus), ITEMS, batch_size)
    assert out == [("a", 2), ("b", 3)]


def test_takes_items_that_the_sender_has_grouped(keyed):
    operator = keyed(lambda s: op.reduce_final("step", s, minus))
    assert flat(operator.on_groups([("b", [10, 3]), ("a", [2])])) == []
    flat(operator.on_groups([("b", [4])]))
    assert flat(operator.on_eof()) == [("a", 2), ("b", 3)]


def test_takes_none_as_a_value(run):
    out = run(lambda s: op.reduce_final("step", s, lambda x, y: [x, y]), [("a", None), ("a", 1)])
    assert out == [("a", [None, 1])]


@pytest.mark.parametrize("item", [5, (1, 2), ([], 1)])
def test_refuses_an_item_without_a_str_key(fails, item):
    error = fails(lambda s: op.reduce_final("step", s, minus), [("a", 1), item])
    assert isinstance(error, TypeError)
    assert "see `key_on`" in str(error)


def test_passes_a_type_error_of_the_reducer_on(fails):
    error = fails(lambda s: op.reduce_final("step", s, minus), [("a", 1), ("a", "x")])
    assert "unsupported operand" in str(error)
