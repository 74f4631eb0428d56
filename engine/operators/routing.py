"""Operators that divide, join and spread streams."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, TypeGuard, TypeVar, overload

from engine.dataflow import Stream, operator
from engine.steps import Branch, Merge, Redistribute

X = TypeVar("X")
Y = TypeVar("Y")
U = TypeVar("U")
V = TypeVar("V")
W = TypeVar("W")


@dataclass(frozen=True)
class BranchOut(Generic[X, Y]):
    """The two streams that `branch` makes.

    Args:
        trues: Items for which the predicate holds.
        falses: The others.
    """

    trues: Stream[X]
    falses: Stream[Y]


@overload
def branch(
    step_id: str, up: Stream[X], predicate: Callable[[X], TypeGuard[Y]]
) -> BranchOut[Y, X]: ...
@overload
def branch(step_id: str, up: Stream[X], predicate: Callable[[X], bool]) -> BranchOut[X, X]: ...
@operator
def branch(step_id: str, up: Stream[Any], predicate: Callable[[Any], bool]) -> BranchOut[Any, Any]:
    """Divide a stream into two.

    Args:
        step_id: Unique ID.
        up: Stream.
        predicate: From an item to whether it goes to the first stream. A
            `typing.TypeGuard` makes a type checker know what the first stream holds.

    Returns:
        A stream of the items for which the predicate returned `True`, and one of the others.

    Raises:
        TypeError: While running, if the predicate does not return a bool.

    >>> import engine.operators as op
    >>> from engine.dataflow import Dataflow
    >>> from engine.testing import TestingSink, TestingSource, run_main
    >>> flow = Dataflow("branch_example")
    >>> s = op.input("inp", flow, TestingSource([1, 2, 3]))
    >>> parity = op.branch("parity", s, lambda x: x % 2 == 0)
    >>> evens, odds = [], []
    >>> op.output("evens", parity.trues, TestingSink(evens))
    >>> op.output("odds", parity.falses, TestingSink(odds))
    >>> run_main(flow)
    >>> evens, odds
    ([2], [1, 3])
    """
    trues, falses = up.scope.add(Branch(predicate), up, downs=("trues", "falses"))
    return BranchOut(trues, falses)


@overload
def merge(step_id: str, up1: Stream[X], /) -> Stream[X]: ...
@overload
def merge(step_id: str, up1: Stream[X], up2: Stream[Y], /) -> Stream[X | Y]: ...
@overload
def merge(step_id: str, up1: Stream[X], up2: Stream[Y], up3: Stream[U], /) -> Stream[X | Y | U]: ...
@overload
def merge(
    step_id: str, up1: Stream[X], up2: Stream[Y], up3: Stream[U], up4: Stream[V], /
) -> Stream[X | Y | U | V]: ...
@overload
def merge(
    step_id: str,
    up1: Stream[X],
    up2: Stream[Y],
    up3: Stream[U],
    up4: Stream[V],
    up5: Stream[W],
    /,
) -> Stream[X | Y | U | V | W]: ...
@overload
def merge(step_id: str, *ups: Stream[X]) -> Stream[X]: ...
@overload
def merge(step_id: str, *ups: Stream[Any]) -> Stream[Any]: ...
@operator
def merge(step_id: str, *ups: Stream[Any]) -> Stream[Any]:
    """Join streams into one.

    Args:
        step_id: Unique ID.
        *ups: Streams.

    Returns:
        A stream of the items of all of them, in no certain order.

    >>> import engine.operators as op
    >>> from engine.dataflow import Dataflow
    >>> from engine.testing import TestingSink, TestingSource, run_main
    >>> flow = Dataflow("merge_example")
    >>> ones = op.input("ones", flow, TestingSource([1, 2]))
    >>> tens = op.input("tens", flow, TestingSource([10, 20]))
    >>> s = op.merge("merge", ones, tens)
    >>> out = []
    >>> op.output("out", s, TestingSink(out))
    >>> run_main(flow)
    >>> sorted(out)
    [1, 2, 10, 20]
    """
    down: Stream[Any] = ups[0].scope.add(Merge(), *ups)
    return down


@operator
def redistribute(step_id: str, up: Stream[X]) -> Stream[X]:
    """Spread items evenly over all workers.

    This makes all workers take part in costly steps that follow a source with few
    partitions. The order of items is lost.

    Args:
        step_id: Unique ID.
        up: Stream.

    Returns:
        A stream of the same items.

    >>> import engine.operators as op
    >>> from engine.dataflow import Dataflow
    >>> from engine.testing import TestingSink, TestingSource, run_main
    >>> flow = Dataflow("redistribute_example")
    >>> s = op.input("inp", flow, TestingSource([1, 2, 3]))
    >>> s = op.redistribute("spread", s)
    >>> out = []
    >>> op.output("out", s, TestingSink(out))
    >>> run_main(flow)
    >>> sorted(out)
    [1, 2, 3]
    """
    down: Stream[X] = up.scope.add(Redistribute(), up)
    return down
