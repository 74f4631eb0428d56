import pytest

import engine.operators as op
from engine.dataflow import Dataflow
from engine.errors import DataflowError
from engine.testing import TestingSource


def test_joins_streams(run):
    def both_ways(s):
        return op.merge("step", s, op.map("negate", s, lambda x: -x))

    assert sorted(run(both_ways, [1, 2])) == [-2, -1, 1, 2]


def test_joins_a_stream_with_itself(run):
    assert sorted(run(lambda s: op.merge("step", s, s), [1, 2])) == [1, 1, 2, 2]


def test_passes_one_stream_on(run):
    assert run(lambda s: op.merge("step", s), [1, 2]) == [1, 2]


def test_refuses_to_join_nothing():
    with pytest.raises(DataflowError, match="no stream"):
        op.merge("step")


def test_refuses_streams_of_two_dataflows():
    one = op.input("inp", Dataflow("one"), TestingSource([1]))
    two = op.input("inp", Dataflow("two"), TestingSource([1]))
    with pytest.raises(DataflowError, match="mixes streams of one and two"):
        op.merge("step", one, two)
