from typing import Any

import pytest

import engine.operators as op
from engine.dataflow import Dataflow
from engine.errors import DataflowError
from engine.testing import TestingSink, TestingSource, run_main


@pytest.mark.parametrize("batch_size", [1, 10])
def test_divides_a_stream(batch_size) -> None:
    flow = Dataflow("flow")
    parity = op.branch(
        "step", op.input("inp", flow, TestingSource(range(5), batch_size)), lambda x: x % 2 == 0
    )
    evens: list[int] = []
    odds: list[int] = []
    op.output("evens", parity.trues, TestingSink(evens))
    op.output("odds", parity.falses, TestingSink(odds))
    run_main(flow)
    assert (evens, odds) == ([0, 2, 4], [1, 3])


def test_need_not_be_used_on_both_sides(run):
    assert run(lambda s: op.branch("step", s, lambda x: x > 1).trues, [1, 2]) == [2]


@pytest.mark.parametrize("result", [None, 1])
def test_refuses_a_result_that_is_no_bool(fails, result):
    error = fails(lambda s: op.branch("step", s, lambda _: result).trues, [1])
    assert isinstance(error, TypeError)
    assert "bool" in str(error)


def test_names_the_slip_of_using_its_result_as_a_stream() -> None:
    flow = Dataflow("flow")
    both: Any = op.branch("step", op.input("inp", flow, TestingSource([1])), lambda _: True)
    with pytest.raises(DataflowError, match="`up` is a BranchOut"):
        op.map("double", both, lambda x: x)
