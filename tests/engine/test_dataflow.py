import dataclasses
from typing import Any, NamedTuple

import pytest

import engine.operators as op
from engine.dataflow import Dataflow, KeyedStream, Stream, operator
from engine.errors import DataflowError
from engine.testing import TestingSink, TestingSource, run_main


def source(flow, step_id="inp", items=(1, 2, 3)):
    return op.input(step_id, flow, TestingSource(items))


class Halves(NamedTuple):
    small: Stream[int]
    large: Stream[int]


@operator
def halve(step_id: str, up: Stream[int], limit: int) -> Halves:
    out = op.branch("split", up, lambda x: x < limit)
    return Halves(out.trues, op.map("mark", out.falses, lambda x: x * 100))


def test_steps_are_named_by_where_they_are():
    flow = Dataflow("flow")
    halves = halve("halve", source(flow), 2)
    op.merge("merge", *halves)
    assert [step.step_id for step in flow.steps] == [
        "flow.inp",
        "flow.halve.split",
        "flow.halve.mark",
        "flow.merge",
    ]
    assert flow.operators == {
        "flow.inp": "input",
        "flow.halve": "halve",
        "flow.halve.split": "branch",
        "flow.halve.mark": "map",
        "flow.merge": "merge",
    }


def test_steps_know_their_streams():
    flow = Dataflow("flow")
    s = source(flow)
    out = op.branch("split", s, lambda _: True)
    op.merge("merge", out.falses, s)
    _, split, merge = flow.steps
    assert split.ups == ("flow.inp.down",)
    assert split.downs == ("flow.split.trues", "flow.split.falses")
    assert merge.ups == ("flow.split.falses", "flow.inp.down")


def test_a_nested_operator_runs() -> None:
    flow = Dataflow("flow")
    halves = halve("halve", source(flow), 2)
    small: list[int] = []
    large: list[int] = []
    op.output("small", halves.small, TestingSink(small))
    op.output("large", halves.large, TestingSink(large))
    run_main(flow)
    assert (small, large) == ([1], [200, 300])


def test_an_operator_can_be_used_twice_and_start_at_the_dataflow():
    @operator
    def numbers(step_id: str, flow: Dataflow, n: int) -> Stream[int]:
        return op.map("negate", op.input("inp", flow, TestingSource(range(n))), lambda x: -x)

    flow = Dataflow("flow")
    both = op.merge("both", numbers("one", flow, 2), numbers("two", flow, 2))
    assert both.stream_id == "flow.both.down"
    assert "flow.two.negate" in flow.operators


def test_an_operator_may_return_a_dataclass_of_streams():
    @dataclasses.dataclass(frozen=True)
    class Out:
        doubled: Stream[int]
        note: str

    @operator
    def double(step_id: str, up: Stream[int]) -> Out:
        return Out(op.map("double", up, lambda x: x * 2), "done")

    flow = Dataflow("flow")
    out = double("step", source(flow))
    op.map("after", out.doubled, lambda x: x)
    assert "flow.after" in flow.operators
    assert out.note == "done"


def test_an_operator_is_given_its_other_arguments_as_they_are() -> None:
    seen: list[list[int]] = []

    @operator
    def keep(step_id: str, up: Stream[int], into: list[int]) -> Stream[int]:
        seen.append(into)
        return op.inspect("keep", up, lambda _, x: into.append(x))

    into: list[int] = []
    keep("step", source(Dataflow("flow")), into)
    assert seen[0] is into


def test_then_chains_operators() -> None:
    out: list[tuple[str, int]] = []
    flow = Dataflow("flow")
    (
        source(flow)
        .then(op.map, "add", lambda x: x + 1)
        .then(op.key_on, "key", str)
        .then(op.map_value, "negate", lambda x: -x)
        .then(op.output, "out", TestingSink(out))
    )
    run_main(flow)
    assert out == [("2", -2), ("3", -3), ("4", -4)]


@pytest.mark.parametrize("name", ["", "a.b", 5, None])
def test_refuses_a_bad_dataflow_id(name):
    with pytest.raises(DataflowError, match="a dataflow ID is a non-empty str without"):
        Dataflow(name)


@pytest.mark.parametrize("name", ["", "a.b", 5, None])
def test_refuses_a_bad_step_id(name):
    s = source(Dataflow("flow"))
    with pytest.raises(DataflowError, match="a step ID is a non-empty str without"):
        op.map(name, s, str)


def test_refuses_a_step_id_that_is_used():
    s = source(Dataflow("flow"))
    op.map("step", s, str)
    with pytest.raises(DataflowError, match=r"step 'flow\.step': this step ID is used twice"):
        op.filter("step", s, bool)


def test_allows_a_step_id_that_is_used_in_another_operator():
    flow = Dataflow("flow")
    s = source(flow)
    halve("one", s, 2)
    halve("two", s, 2)
    op.map("split", s, str)
    assert {"flow.one.split", "flow.two.split", "flow.split"} <= set(flow.operators)


@pytest.mark.parametrize("value", [[1, 2], None, "s", int])
def test_refuses_something_else_than_a_stream(value):
    with pytest.raises(DataflowError, match="no stream and no dataflow; `up` is a "):
        op.map("step", value, str)


def test_refuses_a_dataflow_in_place_of_a_stream() -> None:
    flow: Any = Dataflow("flow")
    with pytest.raises(DataflowError, match="`up` is a Dataflow, not a Stream"):
        op.map("step", flow, str)


def test_refuses_streams_of_two_scopes() -> None:
    leaked: list[KeyedStream[int]] = []

    @operator
    def leak(step_id: str, up: KeyedStream[int]) -> Stream[int]:
        leaked.append(up)
        return op.key_rm("values", up)

    flow = Dataflow("flow")
    s = leak("leak", op.key_on("key", source(flow), str))
    with pytest.raises(DataflowError, match=r"mixes streams of flow and flow\.leak"):
        op.merge("merge", s, *leaked)


def test_refuses_an_operator_whose_first_parameter_is_something_else():
    with pytest.raises(TypeError, match="`step_id`"):

        @operator
        def wrong(up: Stream[int]) -> Stream[int]:
            return up
