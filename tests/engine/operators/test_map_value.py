import pytest

import engine.operators as op


def test_transforms_each_value_and_leaves_its_key(run):
    items = [("a", 1), ("b", 2)]
    assert run(lambda s: op.map_value("step", s, lambda x: x * 2), items, 2) == [("a", 2), ("b", 4)]


@pytest.mark.parametrize("item", [5, ("a", 1, 2), ("a",), None, "abc"])
def test_refuses_an_item_that_is_no_pair(fails, item):
    error = fails(lambda s: op.map_value("step", s, str), [("a", 1), item, ("b", 2)])
    assert isinstance(error, TypeError)
    assert "(key, value) 2-tuples" in str(error)
    assert repr(item) in str(error)


def test_passes_a_type_error_of_the_mapper_on(fails):
    error = fails(lambda s: op.map_value("step", s, len), [("a", "x"), ("a", 1), 5])
    assert "has no len()" in str(error)


def test_passes_a_value_error_of_the_mapper_on(fails):
    assert isinstance(fails(lambda s: op.map_value("step", s, int), [("a", "x")]), ValueError)
