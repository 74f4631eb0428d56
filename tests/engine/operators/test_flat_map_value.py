import pytest

import engine.operators as op


def test_gives_each_value_the_key(run):
    items = [("a", "x y"), ("b", ""), ("c", "z")]
    out = run(lambda s: op.flat_map_value("step", s, str.split), items, 3)
    assert out == [("a", "x"), ("a", "y"), ("c", "z")]


def length(value):
    return len(value)


@pytest.mark.parametrize("kind", [list, tuple, iter, range])
def test_takes_long_results(run, kind):
    mapper = range if kind is range else lambda n: kind(range(n))
    out = run(lambda s: op.flat_map_value("step", s, mapper), [("a", 3000), ("b", 2)], 2)
    assert out == [*(("a", n) for n in range(3000)), ("b", 0), ("b", 1)]


def test_refuses_an_item_that_is_no_pair(fails):
    error = fails(lambda s: op.flat_map_value("step", s, str.split), [("a", "x"), 5])
    assert isinstance(error, TypeError)
    assert "(key, value) 2-tuples, not the int 5" in str(error)


def test_refuses_a_result_that_is_no_iterable(fails):
    error = fails(lambda s: op.flat_map_value("step", s, length), [("a", "x")])
    assert isinstance(error, TypeError)
    assert "the mapper `length` has to return an iterable, not the int 1" in str(error)


def test_passes_a_type_error_of_the_mapper_on(fails):
    error = fails(lambda s: op.flat_map_value("step", s, length), [("a", 1)])
    assert "has no len()" in str(error)
