"""The kinds of core step that every operator is made of."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from engine.inputs import Source
    from engine.keyed import KeyedOperator
    from engine.outputs import Sink
    from engine.preaggregate import PreAggregate


@dataclass(frozen=True)
class Input:
    """Read items from a source."""

    source: "Source[Any]"


@dataclass(frozen=True)
class Output:
    """Write items to a sink."""

    sink: "Sink[Any]"


@dataclass(frozen=True)
class FlatMapBatch:
    """Turn a batch into any number of items.

    Args:
        mapper: From a list of items to an iterable of items. A list is passed on as it is;
            anything else is pulled in slices.
        keyed: Whether the mapper unpacks `(key, value)` 2-tuples.
    """

    mapper: Callable[[list[Any]], Iterable[Any]]
    keyed: bool = False


@dataclass(frozen=True)
class FlatMapChunks:
    """Turn a batch into any number of lists of items, pulled one at a time.

    Args:
        mapper: From a list of items to an iterator of lists of items.
        keyed: Whether the mapper unpacks `(key, value)` 2-tuples.
    """

    mapper: Callable[[list[Any]], Iterator[list[Any]]]
    keyed: bool = False


@dataclass(frozen=True)
class Branch:
    """Send each item down the first stream if the predicate holds, else down the second."""

    predicate: Callable[[Any], bool]


@dataclass(frozen=True)
class Merge:
    """Pass on the items of all up streams."""


@dataclass(frozen=True)
class Redistribute:
    """Spread items evenly over all workers."""


@dataclass(frozen=True)
class InspectDebug:
    """Show each item to a function.

    Args:
        inspector: Called with step ID, item, epoch and worker index.
    """

    inspector: Callable[[str, Any, int, int], None]


@dataclass(frozen=True)
class PreAggregation:
    """Combine items on the worker where they are, before they are exchanged.

    Args:
        build: Makes what one worker runs.
    """

    build: "Callable[[], PreAggregate]"


@dataclass(frozen=True)
class Keyed:
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


@dataclass(frozen=True)
class Step:
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
