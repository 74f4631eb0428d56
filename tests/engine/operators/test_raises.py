import pytest

import engine.operators as op
from engine.dataflow import Dataflow
from engine.errors import DataflowRuntimeError
from engine.testing import TestingSource, run_main


def flow_with(items) -> Dataflow:
    flow = Dataflow("flow")
    op.raises("step", op.input("inp", flow, TestingSource(items)))
    return flow


def test_fails_on_an_item():
    with pytest.raises(DataflowRuntimeError) as caught:
        run_main(flow_with(["bad"]))
    assert caught.value.step_id == "flow.step"
    assert isinstance(caught.value.__cause__, RuntimeError)
    assert "'bad'" in str(caught.value.__cause__)


def test_is_the_output_of_a_dataflow_without_items():
    run_main(flow_with([]))
