"""Compile a dataflow into stages: steps that run fused on one worker, between exchanges.

Stages form a directed acyclic graph, because each starts at a source, behind an exchange,
or at a merge of several stages; so barriers can be aligned stage by stage.
"""

import enum
from collections import defaultdict
from typing import NamedTuple

from engine.dataflow import Dataflow
from engine.errors import DataflowError
from engine.inputs import DynamicSource, FixedPartitionedSource
from engine.outputs import DynamicSink, FixedPartitionedSink
from engine.steps import Input, Keyed, Merge, Output, Redistribute, Step


class Route(enum.Enum):
    """How an exchange chooses the worker for an item."""

    KEYED = "keyed"
    """The worker that owns the shard of the item's key."""
    BALANCED = "balanced"
    """Any worker, in turn."""
    PARTITIONED = "partitioned"
    """The worker that owns the sink partition of the item's key."""
    LOCAL = "local"
    """The same worker."""


class Exchange(NamedTuple):
    """Where items leave one stage for another.

    Args:
        number: Position in `Plan.exchanges`.
        route: How the worker is chosen.
        stage: Number of the stage that receives.
        step_id: Of the step that receives.
    """

    number: int
    route: Route
    stage: int
    step_id: str


class ToNode(NamedTuple):
    """Output goes to a node of the same stage."""

    node: int


class ToExchange(NamedTuple):
    """Output leaves the stage."""

    exchange: int


Target = ToNode | ToExchange


class Node(NamedTuple):
    """A step in its stage.

    Args:
        step: The step.
        targets: For each of its down streams, where that goes.
    """

    step: Step
    targets: tuple[tuple[Target, ...], ...]


class StagePlan(NamedTuple):
    """Fused steps.

    Args:
        number: Position in `Plan.stages`.
        nodes: The steps, each before those that it feeds; all input enters at the first.
        inputs: Numbers of the exchanges that feed it.
        outputs: Numbers of the exchanges that it feeds.
    """

    number: int
    nodes: tuple[Node, ...]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]


class Plan(NamedTuple):
    """What every worker runs.

    Args:
        flow_id: Name of the dataflow.
        stages: Each before those that it feeds.
        exchanges: Between the stages.
    """

    flow_id: str
    stages: tuple[StagePlan, ...]
    exchanges: tuple[Exchange, ...]

    @property
    def steps(self) -> tuple[Step, ...]:
        """All steps, stage by stage."""
        return tuple(node.step for stage in self.stages for node in stage.nodes)


def compile_plan(flow: Dataflow) -> Plan:
    """Compile a dataflow.

    Raises:
        DataflowError: If it has no input or no output, or a source or sink is of no known kind.
    """
    _check(flow)
    stages: list[list[Node]] = []
    inputs: list[list[int]] = []
    exchanges: list[Exchange] = []
    home: dict[str, int] = {}
    targets: defaultdict[str, list[Target]] = defaultdict(list)

    for step in flow.steps:
        route = _route(step, home)
        if route is None and step.ups:
            stage = home[step.ups[0]]
            for up in step.ups:
                targets[up].append(ToNode(len(stages[stage])))
        else:
            stage = len(stages)
            stages.append([])
            inputs.append([])
            for up in step.ups:
                exchange = Exchange(len(exchanges), route or Route.LOCAL, stage, step.step_id)
                exchanges.append(exchange)
                inputs[stage].append(exchange.number)
                targets[up].append(ToExchange(exchange.number))
        stages[stage].append(Node(step, ()))
        home.update(dict.fromkeys(step.downs, stage))

    plans = []
    for index, bare in enumerate(stages):
        nodes = tuple(
            node._replace(targets=tuple(tuple(targets[down]) for down in node.step.downs))
            for node in bare
        )
        outputs = tuple(
            target.exchange
            for node in nodes
            for port in node.targets
            for target in port
            if isinstance(target, ToExchange)
        )
        plans.append(StagePlan(index, nodes, tuple(inputs[index]), outputs))
    return Plan(flow.flow_id, tuple(plans), tuple(exchanges))


def _route(step: Step, home: dict[str, int]) -> Route | None:
    """How items reach the step, or `None` if it runs where its items are."""
    match step.kind:
        case Keyed():
            return Route.KEYED
        case Redistribute():
            return Route.BALANCED
        case Output(sink=FixedPartitionedSink()):
            return Route.PARTITIONED
        case Merge() if len({home[up] for up in step.ups}) > 1:
            return Route.LOCAL
    return None


def _check(flow: Dataflow) -> None:
    sources = [step for step in flow.steps if isinstance(step.kind, Input)]
    sinks = [step for step in flow.steps if isinstance(step.kind, Output)]
    if not sources:
        problem = "the dataflow has no input"
        raise DataflowError(flow.flow_id, problem, "Start it with `engine.operators.input`.")
    if not sinks:
        problem = "the dataflow has no output"
        raise DataflowError(flow.flow_id, problem, "End it with `engine.operators.output`.")
    for step in sources:
        if isinstance(step.kind, Input):
            _check_kind(step, step.kind.source, (FixedPartitionedSource, DynamicSource), "source")
    for step in sinks:
        if isinstance(step.kind, Output):
            _check_kind(step, step.kind.sink, (FixedPartitionedSink, DynamicSink), "sink")


def _check_kind(step: Step, given: object, known: tuple[type, ...], what: str) -> None:
    if not isinstance(given, known):
        names = " or ".join(each.__name__ for each in known)
        problem = f"its {what} is a {type(given).__name__}, which is neither a {names}"
        raise DataflowError(step.step_id, problem.replace(" or ", " nor a "))
