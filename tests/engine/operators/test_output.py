import pytest

import engine.operators as op
from engine.dataflow import Dataflow
from engine.errors import DataflowError
from engine.testing import TestingSink, TestingSource, run_main


def test_writes_to_each_of_two_sinks() -> None:
    flow = Dataflow("flow")
    s = op.input("inp", flow, TestingSource([1, 2]))
    first: list[int] = []
    second: list[int] = []
    op.output("first", s, TestingSink(first))
    op.output("second", s, TestingSink(second))
    run_main(flow)
    assert first == second == [1, 2]


@pytest.mark.parametrize("sink", [[], TestingSink])
def test_refuses_what_is_no_sink(sink):
    flow = Dataflow("flow")
    s = op.input("inp", flow, TestingSource([1]))
    with pytest.raises(DataflowError, match=r"flow\.out.*`sink` is the "):
        op.output("out", s, sink)
