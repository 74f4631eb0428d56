from itertools import count, islice

import pytest

import engine.operators as op
from engine.steps import FlatMapChunks
from tests.engine.operators.conftest import flow_of


@pytest.mark.parametrize("batch_size", [1, 3])
def test_passes_on_all_items_of_each_result(run, batch_size):
    lines = ["a b", "", "c"]
    assert run(lambda s: op.flat_map("step", s, str.split), lines, batch_size) == ["a", "b", "c"]


@pytest.mark.parametrize(
    "kind", [list, tuple, set, frozenset, iter, dict.fromkeys, lambda xs: (x for x in xs), range]
)
def test_takes_any_iterable(run, kind):
    mapper = range if kind is range else lambda n: kind(range(n))
    expected = [*range(3), *range(5000)]
    assert run(lambda s: op.flat_map("step", s, mapper), [3, 0, 5000], 3) == expected


def test_takes_the_characters_of_a_str(run):
    assert run(lambda s: op.flat_map("step", s, str.upper), ["ab"]) == ["A", "B"]


def test_pulls_an_endless_result_as_far_as_it_is_wanted():
    pulled = []

    def endless(_):
        for n in count():
            pulled.append(n)
            yield n

    flow = flow_of(lambda s: op.flat_map("step", s, endless), [], 1, [])
    kind = flow.steps[1].kind
    assert isinstance(kind, FlatMapChunks)
    chunks = list(islice(kind.mapper([1]), 3))
    assert [x for chunk in chunks for x in chunk] == pulled
    assert len(pulled) < 4096


@pytest.mark.parametrize("result", [5, None, 1.5])
def test_refuses_a_result_that_is_no_iterable(fails, result):
    error = fails(lambda s: op.flat_map("step", s, lambda _: result), [1])
    assert isinstance(error, TypeError)
    assert "the mapper" in str(error)
    assert "an iterable" in str(error)
    assert repr(result) in str(error)


def test_does_not_swallow_stop_iteration(fails):
    stop = StopIteration("mine")

    def mapper(_):
        raise stop

    assert fails(lambda s: op.flat_map("step", s, mapper), [1]) is stop


def test_passes_a_type_error_of_an_iterable_on(fails):
    class Broken:
        def __iter__(self):
            msg = "mine"
            raise TypeError(msg)

    assert str(fails(lambda s: op.flat_map("step", s, lambda _: Broken()), [1])) == "mine"


def test_passes_an_error_of_a_generator_on(fails):
    def mapper(n):
        yield n
        yield 1 // n

    assert isinstance(fails(lambda s: op.flat_map("step", s, mapper), [0]), ZeroDivisionError)
