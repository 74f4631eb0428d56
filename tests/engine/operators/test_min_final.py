import pytest

import engine.operators as op
from engine.dataflow import Dataflow
from engine.operators import combining
from engine.steps import PreAggregation
from engine.testing import TestingSource

ITEMS = [("b", 2), ("a", 1), ("a", 3), ("b", -5), ("a", 2)]


def flat(chunks):
    return [item for chunk in chunks for item in chunk]


@pytest.mark.parametrize("batch_size", [1, 2, 10])
def test_emits_values_sorted_by_key(run, batch_size):
    out = run(lambda s: op.min_final("step", s), ITEMS, batch_size)
    assert out == [("a", min(1, 3, 2)), ("b", min(2, -5))]


@pytest.mark.parametrize("batch_size", [1, 10])
def test_compares_by_what_it_is_told(run, batch_size):
    out = run(lambda s: op.min_final("step", s, by=lambda x: -x), ITEMS, batch_size)
    assert out == [("a", min(1, 3, 2, key=lambda x: -x)), ("b", min(2, -5, key=lambda x: -x))]


@pytest.mark.parametrize("batch_size", [1, 2, 10])
def test_keeps_the_first_of_equal_values(run, batch_size):
    items = [("a", "x1"), ("a", "y1"), ("a", "z1")]
    out = run(lambda s: op.min_final("step", s, lambda x: x[1]), items, batch_size)
    assert out == [("a", "x1")]


def test_compares_where_the_items_are(monkeypatch):
    flow = Dataflow("flow")
    op.min_final("step", op.input("inp", flow, TestingSource([("a", 1)])))
    kind = flow.steps[1].kind
    assert isinstance(kind, PreAggregation)
    held = kind.build()
    assert flat(held.on_items(ITEMS)) == []
    assert dict(flat(held.flush())) == {"a": min(1, 3, 2), "b": min(2, -5)}
    assert flat(held.flush()) == []
    monkeypatch.setattr(combining, "MOST_HELD", 1)
    assert len(flat(held.on_items(ITEMS))) == 2


@pytest.mark.parametrize("item", [5, (1, 2), ([], 1), ("a",)])
def test_refuses_an_item_without_a_str_key(fails, item):
    error = fails(lambda s: op.min_final("step", s), [("a", 1), item])
    assert isinstance(error, TypeError)
    assert "see `key_on`" in str(error)


def test_passes_errors_of_the_comparison_on(fails):
    error = fails(lambda s: op.min_final("step", s), [("a", 1), ("a", "x")])
    assert isinstance(error, TypeError)
    assert "not supported between" in str(error)
