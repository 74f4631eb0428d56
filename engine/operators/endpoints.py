"""Operators where items enter and leave a dataflow."""

from typing import Any, TypeVar

from engine.dataflow import Dataflow, Stream, operator
from engine.errors import DataflowError
from engine.inputs import DynamicSource, FixedPartitionedSource, Source
from engine.outputs import (
    DynamicSink,
    FixedPartitionedSink,
    Sink,
    StatelessSinkPartition,
)
from engine.shapes import shown
from engine.steps import Input, Output

X = TypeVar("X")


@operator
def input(step_id: str, flow: Dataflow, source: Source[X]) -> Stream[X]:
    """Read items from a source.

    Args:
        step_id: Unique ID.
        flow: The dataflow.
        source: What to read.

    Returns:
        A stream of the items of the source; keyed, if the source says so.

    Raises:
        DataflowError: If `source` is no source.

    >>> import engine.operators as op
    >>> from engine.dataflow import Dataflow
    >>> from engine.testing import TestingSink, TestingSource, run_main
    >>> flow = Dataflow("input_example")
    >>> s = op.input("inp", flow, TestingSource([10, 20]))
    >>> out = []
    >>> op.output("out", s, TestingSink(out))
    >>> run_main(flow)
    >>> out
    [10, 20]
    """
    scope = flow.scope
    if not isinstance(source, (FixedPartitionedSource, DynamicSource)):
        problem = f"`source` is {shown(source)}"
        fix = "Pass an instance of a FixedPartitionedSource or a DynamicSource."
        raise DataflowError(scope.path, problem, fix)
    down: Stream[X] = scope.add(Input(source))
    return down


@operator
def output(step_id: str, up: Stream[X], sink: Sink[X]) -> None:
    """Write items to a sink.

    Args:
        step_id: Unique ID.
        up: Stream; it has to be keyed, if the sink says so.
        sink: Where to write.

    Raises:
        DataflowError: If `sink` is no sink.

    >>> import engine.operators as op
    >>> from engine.connectors.stdio import StdOutSink
    >>> from engine.dataflow import Dataflow
    >>> from engine.testing import TestingSource, run_main
    >>> flow = Dataflow("output_example")
    >>> s = op.input("inp", flow, TestingSource(["a", "b"]))
    >>> op.output("out", s, StdOutSink())
    >>> run_main(flow)
    a
    b
    """
    if not isinstance(sink, (FixedPartitionedSink, DynamicSink)):
        problem = f"`sink` is {shown(sink)}"
        fix = "Pass an instance of a FixedPartitionedSink or a DynamicSink."
        raise DataflowError(up.scope.path, problem, fix)
    up.scope.add(Output(sink), up, downs=())


class _RaisingPartition(StatelessSinkPartition[Any]):
    """Fails on the first item."""

    def write_batch(self, items: list[Any]) -> None:
        for item in items:
            msg = f"`raises` got an item: {item!r}"
            raise RuntimeError(msg)


class _RaisingSink(DynamicSink[Any]):
    """Fails on the first item."""

    def build(
        self,
        step_id: str,  # noqa: ARG002 (the interface has it)
        worker_index: int,  # noqa: ARG002 (the interface has it)
        worker_count: int,  # noqa: ARG002 (the interface has it)
    ) -> _RaisingPartition:
        return _RaisingPartition()


@operator
def raises(step_id: str, up: Stream[Any]) -> None:
    """Fail on any item, to make sure that a stream is empty.

    Args:
        step_id: Unique ID.
        up: Stream; each of its items is a RuntimeError.

    >>> import engine.operators as op
    >>> from engine.dataflow import Dataflow
    >>> from engine.testing import TestingSink, TestingSource, run_main
    >>> flow = Dataflow("raises_example")
    >>> s = op.input("inp", flow, TestingSource([1, -2]))
    >>> signs = op.branch("sign", s, lambda x: x > 0)
    >>> op.output("out", signs.trues, TestingSink([]))
    >>> op.raises("none_below_zero", signs.falses)
    >>> try:
    ...     run_main(flow)
    ... except RuntimeError as error:
    ...     print(error.__cause__)
    `raises` got an item: -2
    """
    up.scope.add(Output(_RaisingSink()), up, downs=())
