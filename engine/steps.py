"""The kinds of core step that every operator is made of.

Here and elsewhere in the engine records are named tuples: to make a class of them takes a
fraction of what a dataclass takes, and every start of a process pays for it.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from engine.inputs import Source
    from engine.keyed import KeyedOperator
    from engine.outputs import Sink
    from engine.preaggregate import PreAggregate


class Input(NamedTuple):
    """Read items from a source."""

    source: "Source[Any]"


class Output(NamedTuple):
    """Write items to a sink."""

    sink: "Sink[Any]"


class FlatMapBatch(NamedTuple):
    """Turn a batch into any number of items.

    Args:
        mapper: From a list of items to an iterable of items. A list is passed on as it is;
            anything else is pulled in slices.
    """

    mapper: Callable[[list[Any]], Iterable[Any]]


class FlatMapChunks(NamedTuple):
    """Turn a batch into any number of lists of items, pulled one at a time.

    Args:
        mapper: From a list of items to an iterator of lists of items.
    """

    mapper: Callable[[list[Any]], Iterator[list[Any]]]


class Branch(NamedTuple):
    """Send each item down the first stream if the predicate holds, else down the second."""

    predicate: Callable[[Any], bool]


class Merge(NamedTuple):
    """Pass on the items of all up streams."""


class Redistribute(NamedTuple):
    """Spread items evenly over all workers."""


class InspectDebug(NamedTuple):
    """Show each item to a function.

    Args:
        inspector: Called with step ID, item, epoch and worker index.
    """

    inspector: Callable[[str, Any, int, int], None]


class PreAggregation(NamedTuple):
    """Combine items on the worker where they are, before they are exchanged.

    Args:
        build: Makes what one worker runs.
    """

    build: "Callable[[], PreAggregate]"


class Keyed(NamedTuple):
    """Keep state by key; items of a key meet on one worker.

    Args:
        build: Makes what one worker runs.
    """

    build: "Callable[[], KeyedOperator]"


Kind = (
    Input
    | Output
    | FlatMapBatch
    | FlatMapChunks
    | Branch
    | Merge
    | Redistribute
    | InspectDebug
    | PreAggregation
    | Keyed
)


class Step(NamedTuple):
    """A core step.

    Args:
        step_id: Fully qualified ID.
        kind: What it does.
        ups: IDs of the streams it reads.
        downs: IDs of the streams it makes.
    """

    step_id: str
    kind: Kind
    ups: tuple[str, ...]
    downs: tuple[str, ...]
