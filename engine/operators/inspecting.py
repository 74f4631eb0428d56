"""Operators that show items."""

from collections.abc import Callable
from typing import Any, TypeVar

from engine.dataflow import Stream, operator
from engine.steps import FlatMapBatch, InspectDebug

X = TypeVar("X")


def _print_item(step_id: str, item: Any) -> None:
    print(f"{step_id}: {item!r}", flush=True)  # noqa: T201 (it is what `inspect` is for)


def _print_debug(step_id: str, item: Any, epoch: int, worker: int) -> None:
    print(f"{step_id} W{worker} @{epoch}: {item!r}", flush=True)  # noqa: T201 (the same)


@operator
def inspect(
    step_id: str, up: Stream[X], inspector: Callable[[str, X], None] = _print_item
) -> Stream[X]:
    """Show each item to a function and pass it on.

    Args:
        step_id: Unique ID.
        up: Stream.
        inspector: Called with the full step ID and an item; prints them by default.

    Returns:
        A stream of the same items.

    >>> import engine.operators as op
    >>> from engine.dataflow import Dataflow
    >>> from engine.testing import TestingSink, TestingSource, run_main
    >>> flow = Dataflow("inspect_example")
    >>> s = op.input("inp", flow, TestingSource([1, "two"]))
    >>> s = op.inspect("show", s)
    >>> op.output("out", s, TestingSink([]))
    >>> run_main(flow)
    inspect_example.show: 1
    inspect_example.show: 'two'
    """
    path = up.scope.path

    def inspect_items(items: list[X]) -> list[X]:
        for item in items:
            inspector(path, item)
        return items

    down: Stream[X] = up.scope.add(FlatMapBatch(inspect_items), up)
    return down


@operator
def inspect_debug(
    step_id: str,
    up: Stream[X],
    inspector: Callable[[str, X, int, int], None] = _print_debug,
) -> Stream[X]:
    """Show each item, its epoch and its worker to a function and pass it on.

    Args:
        step_id: Unique ID.
        up: Stream.
        inspector: Called with the full step ID, an item, its epoch and the index of the
            worker; prints them by default.

    Returns:
        A stream of the same items.

    >>> import engine.operators as op
    >>> from engine.dataflow import Dataflow
    >>> from engine.testing import TestingSink, TestingSource, run_main
    >>> flow = Dataflow("inspect_debug_example")
    >>> s = op.input("inp", flow, TestingSource([1, 2]))
    >>> s = op.inspect_debug("show", s)
    >>> op.output("out", s, TestingSink([]))
    >>> run_main(flow)
    inspect_debug_example.show W0 @1: 1
    inspect_debug_example.show W0 @1: 2
    """
    down: Stream[X] = up.scope.add(InspectDebug(inspector), up)
    return down
