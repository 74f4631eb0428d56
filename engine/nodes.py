"""What one worker runs for each step of a stage."""

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from itertools import compress
from typing import Any, NamedTuple

from engine.chunks import chunks
from engine.context import WorkerContext
from engine.exchange import Outbound
from engine.keyed import KeyedOperator
from engine.metrics import Role, StepStats
from engine.outputs import (
    DynamicSink,
    FixedPartitionedSink,
    StatefulSinkPartition,
    StatelessSinkPartition,
)
from engine.preaggregate import PreAggregate
from engine.shapes import check_bools, check_keyed, iterate, wrong_return
from engine.steps import (
    Branch,
    FlatMapBatch,
    FlatMapChunks,
    Input,
    InspectDebug,
    Keyed,
    Output,
    PreAggregation,
    Step,
)


class Branched(NamedTuple):
    """What a branch makes of a batch."""

    trues: list[Any]
    falses: list[Any]


Run = Callable[[list[Any]], list[Any] | Branched | Iterator[list[Any]]]


class SinkParts(NamedTuple):
    """Partitions of a fixed-partitioned sink.

    Args:
        names: All partitions of the cluster, sorted.
        owners: For each of them, the worker that writes it.
    """

    names: tuple[str, ...]
    owners: tuple[int, ...]


class RunningNode:
    """A step on one worker.

    Args:
        step_id: Fully qualified ID of the step.
        run: What it does with a batch: a list is passed on at once, an iterator of lists is
            pulled while there is credit.
        role: Whether it is an input, an output, or neither.
    """

    def __init__(self, step_id: str, run: Run, role: Role = "operator") -> None:
        self.step_id = step_id
        self.run = run
        self.stats = StepStats(step_id, role)
        self.targets: list[list[RunningNode | Outbound]] = []
        self.operator: KeyedOperator | None = None
        self.aggregate: PreAggregate | None = None
        self.close: Callable[[], None] = _nothing_to_close


def build_node(step: Step, context: WorkerContext, sinks: dict[str, SinkParts]) -> RunningNode:
    """Build what a worker runs for a step; what user code raises is raised."""
    match step.kind:
        case FlatMapBatch(mapper):
            return RunningNode(step.step_id, _flat_map_batch(mapper))
        case FlatMapChunks(mapper):
            return RunningNode(step.step_id, mapper)
        case Branch(predicate):
            return RunningNode(step.step_id, _branch(predicate))
        case InspectDebug(inspector):
            return RunningNode(step.step_id, _inspect(inspector, step.step_id, context))
        case PreAggregation(build):
            aggregate = build()
            node = RunningNode(step.step_id, aggregate.on_items)
            node.aggregate = aggregate
            return node
        case Keyed(build):
            operator = build()
            node = RunningNode(step.step_id, operator.on_items)
            node.operator = operator
            return node
        case Output(DynamicSink() as sink):
            part = sink.build(step.step_id, context.index, context.count)
            return _output(step.step_id, part.write_batch, [part])
        case Output(FixedPartitionedSink() as sink):
            return _partitioned_output(step.step_id, sink, context, sinks[step.step_id])
        case Input():
            return RunningNode(step.step_id, _pass_on, "input")
    return RunningNode(step.step_id, _pass_on)


def part_index(sink: FixedPartitionedSink[Any, Any], parts: SinkParts) -> Callable[[str], int]:
    """From a key to the position of its partition among all partitions of the sink."""
    count = len(parts.names)
    if count == 1:
        return lambda _key: 0
    return lambda key: sink.part_fn(key) % count


def cut(items: list[Any], length: int) -> Iterator[list[Any]]:
    """Cut a long list."""
    return (items[start : start + length] for start in range(0, len(items), length))


def _pass_on(items: list[Any]) -> list[Any]:
    return items


def _nothing_to_close() -> None:
    pass


def _flat_map_batch(mapper: Callable[[list[Any]], Iterable[Any]]) -> Run:
    wrong = partial(wrong_return, "the mapper", mapper, "an iterable")

    def run(items: list[Any]) -> list[Any] | Iterator[list[Any]]:
        out = mapper(items)
        if isinstance(out, list):
            return out
        return chunks(iter, (iterate(out, wrong),), wrong)

    return run


def _branch(predicate: Callable[[Any], bool]) -> Run:
    def run(items: list[Any]) -> Branched:
        holds = [predicate(item) for item in items]
        check_bools(predicate, holds)
        fails = [not each for each in holds]
        return Branched(list(compress(items, holds)), list(compress(items, fails)))

    return run


def _inspect(
    inspector: Callable[[str, Any, int, int], None], step_id: str, context: WorkerContext
) -> Run:
    def run(items: list[Any]) -> list[Any]:
        for item in items:
            inspector(step_id, item, context.epoch, context.index)
        return items

    return run


SinkPartition = StatelessSinkPartition[Any] | StatefulSinkPartition[Any, Any]


def _output(
    step_id: str, write: Callable[[list[Any]], None], parts: list[SinkPartition]
) -> RunningNode:
    def run(items: list[Any]) -> list[Any]:
        write(items)
        return []

    def close() -> None:
        while parts:
            parts.pop().close()

    node = RunningNode(step_id, run, "output")
    node.close = close
    return node


def _partitioned_output(
    step_id: str,
    sink: FixedPartitionedSink[Any, Any],
    context: WorkerContext,
    all_parts: SinkParts,
) -> RunningNode:
    parts = {
        index: sink.build_part(step_id, name, None)
        for index, (name, owner) in enumerate(zip(*all_parts, strict=True))
        if owner == context.index
    }
    index_of = part_index(sink, all_parts)

    def write(items: list[Any]) -> None:
        values: dict[int, list[Any]] = {}
        for item in items:
            check_keyed(item)
            values.setdefault(index_of(item[0]), []).append(item[1])
        for index, batch in values.items():
            parts[index].write_batch(batch)

    return _output(step_id, write, list(parts.values()))
