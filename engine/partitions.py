"""Which worker reads or writes which partition of a source or sink."""

from collections.abc import Iterator, Mapping, Sequence

from engine.errors import DataflowRuntimeError
from engine.failure import describe
from engine.inputs import FixedPartitionedSource
from engine.outputs import FixedPartitionedSink
from engine.plan import Plan
from engine.steps import Input, Output

Listing = Mapping[str, Sequence[str]]
"""By step ID, the partitions that a process lists."""

Assignment = dict[str, dict[str, int]]
"""By step ID and partition, the worker that has it."""


def list_partitions(plan: Plan, worker: int, process: int) -> dict[str, list[str]]:
    """Ask each source and sink with fixed partitions which of them this process can reach.

    Args:
        plan: The plan.
        worker: Index of the first worker of this process.
        process: Its ID.

    Raises:
        DataflowRuntimeError: If user code fails.
    """
    listing = {}
    for step_id, partitioned in _partitioned(plan):
        try:
            listing[step_id] = _checked(partitioned.list_parts())
        except BaseException as error:
            raise DataflowRuntimeError(step_id, worker, process, describe(error)) from error
    return listing


def assign(plan: Plan, listings: Sequence[Listing], workers: int) -> Assignment:
    """Give each partition to one worker among those that list it.

    Partitions that few workers list come first; each goes to the worker that has the fewest
    of its step so far, and of those to the lowest.

    Args:
        plan: The plan.
        listings: What each process lists.
        workers: Workers in each process.

    Raises:
        DataflowRuntimeError: If there is no partition where there has to be one.
    """
    assignment: Assignment = {}
    for step_id, partitioned in _partitioned(plan):
        candidates: dict[str, list[int]] = {}
        for process, listing in enumerate(listings):
            for part in listing[step_id]:
                first = process * workers
                candidates.setdefault(part, []).extend(range(first, first + workers))
        if not candidates:
            _check_none(step_id, partitioned)
        load = dict.fromkeys(range(len(listings) * workers), 0)
        assignment[step_id] = {}
        for part in sorted(candidates, key=lambda part: (len(candidates[part]), part)):
            owner = min(candidates[part], key=lambda worker: (load[worker], worker))
            load[owner] += 1
            assignment[step_id][part] = owner
    return assignment


Partitioned = FixedPartitionedSource[object, object] | FixedPartitionedSink[object, object]


def _partitioned(plan: Plan) -> Iterator[tuple[str, Partitioned]]:
    for step in plan.steps:
        match step.kind:
            case Input(FixedPartitionedSource() as source):
                yield step.step_id, source
            case Output(FixedPartitionedSink() as sink):
                yield step.step_id, sink


def _checked(parts: object) -> list[str]:
    if not isinstance(parts, (list, tuple, set, frozenset)):
        msg = f"list_parts has to return a list of str, not {parts!r:.80}"
        raise TypeError(msg)
    for part in parts:
        if not isinstance(part, str):
            msg = f"list_parts has to return a list of str; {part!r:.80} is none"
            raise TypeError(msg)
    return sorted(set(parts))


def _check_none(step_id: str, partitioned: Partitioned) -> None:
    try:
        if isinstance(partitioned, FixedPartitionedSource):
            partitioned.on_no_parts()
            return
    except Exception as error:
        raise DataflowRuntimeError(step_id, 0, 0, describe(error)) from error
    raise DataflowRuntimeError(step_id, 0, 0, "no process lists a partition of the sink")
