from collections import Counter

import pytest

import engine.operators as op
from engine.dataflow import Dataflow
from engine.operators import combining
from engine.steps import PreAggregation
from engine.testing import TestingSource

WORDS = ["pear", "apple", "pear", "fig", "pear", "apple"]


def flat(chunks):
    return [item for chunk in chunks for item in chunk]


def counting(key):
    flow = Dataflow("flow")
    op.count_final("step", op.input("inp", flow, TestingSource([])), key)
    kind = flow.steps[1].kind
    assert isinstance(kind, PreAggregation)
    return kind.build()


@pytest.mark.parametrize("batch_size", [1, 2, 10])
def test_emits_counts_sorted_by_key(run, batch_size):
    out = run(lambda s: op.count_final("step", s, str.upper), WORDS, batch_size)
    assert out == [("APPLE", 2), ("FIG", 1), ("PEAR", 3)]


def test_counts_where_the_items_are():
    counts = counting(str.upper)
    assert flat(counts.on_items(WORDS)) == []
    assert dict(flat(counts.flush())) == {"PEAR": 3, "APPLE": 2, "FIG": 1}
    assert flat(counts.flush()) == []


def test_sends_counts_on_when_there_are_too_many_keys(monkeypatch) -> None:
    monkeypatch.setattr(combining, "MOST_HELD", 3)
    counts = counting(str)
    sent = []
    for start in range(10):
        sent += flat(counts.on_items(range(start, start + 2)))
        assert len(list(counts._counts)) <= 3
    sent += flat(counts.flush())
    total: Counter[str] = Counter()
    for key, count in sent:
        total[key] += count
    assert total == Counter([str(n) for start in range(10) for n in (start, start + 1)])


@pytest.mark.parametrize("key", [1, None, ("a",), []])
def test_refuses_a_key_that_is_no_str(fails, key):
    error = fails(lambda s: op.count_final("step", s, lambda x: x), ["a", key, "a"])
    assert isinstance(error, TypeError)
    assert "has to return a str" in str(error)
    assert repr(key) in str(error)


def test_refuses_a_key_that_is_no_str_in_a_later_batch(fails):
    error = fails(lambda s: op.count_final("step", s, lambda x: x), ["a", "b", "a", 1], 2)
    assert isinstance(error, TypeError)


def test_passes_errors_of_the_key_function_on(fails):
    for error in (TypeError("mine"), StopIteration()):

        def key(_, error=error):
            raise error

        assert fails(lambda s, f=key: op.count_final("step", s, f), ["a"]) is error
