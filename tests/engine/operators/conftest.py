"""Run one operator, whose step ID is `step`, between a source and a sink."""

from collections.abc import Callable, Iterable
from typing import Any

import pytest

import engine.operators as op
from engine.dataflow import Dataflow, Stream
from engine.errors import DataflowRuntimeError
from engine.keyed import KeyedOperator
from engine.steps import Keyed
from engine.testing import TestingSink, TestingSource, run_main

Apply = Callable[[Stream[Any]], Stream[Any]]


def flow_of(apply: Apply, items: Iterable[Any], batch_size: int, out: list[Any]) -> Dataflow:
    flow = Dataflow("flow")
    up = op.input("inp", flow, TestingSource(items, batch_size))
    op.output("out", apply(up), TestingSink(out))
    return flow


@pytest.fixture
def run():
    """Items that an operator makes of items."""

    def run(apply: Apply, items: Iterable[Any], batch_size: int = 1) -> list[Any]:
        out: list[Any] = []
        run_main(flow_of(apply, items, batch_size, out))
        return out

    return run


@pytest.fixture
def fails(run):
    """The error that an operator ends with, which names its step."""

    def fails(apply: Apply, items: Iterable[Any], batch_size: int = 10) -> BaseException:
        with pytest.raises(DataflowRuntimeError) as caught:
            run(apply, items, batch_size)
        assert caught.value.step_id.startswith("flow.step")
        cause = caught.value.__cause__
        assert cause is not None
        return cause

    return fails


@pytest.fixture
def keyed():
    """What a worker runs for an operator with state, to be called without a worker."""

    def keyed(apply: Apply) -> KeyedOperator:
        for step in flow_of(apply, [], 1, []).steps:
            if isinstance(step.kind, Keyed):
                return step.kind.build()
        pytest.fail("there is no step with state")

    return keyed
