"""Operators that keep only some items."""

from collections.abc import Callable
from functools import partial
from typing import TypeVar

from engine.dataflow import KeyedStream, Stream, operator
from engine.shapes import check_pair, current, raise_not_bool
from engine.steps import FlatMapBatch

X = TypeVar("X")
Y = TypeVar("Y")
V = TypeVar("V")
W = TypeVar("W")


@operator
def filter(step_id: str, up: Stream[X], predicate: Callable[[X], bool]) -> Stream[X]:
    """Keep only items for which a predicate holds.

    Args:
        step_id: Unique ID.
        up: Stream.
        predicate: From an item to whether to keep it.

    Returns:
        A stream of the items for which the predicate returned `True`.

    Raises:
        TypeError: While running, if the predicate does not return a bool.

    >>> import engine.operators as op
    >>> from engine.dataflow import Dataflow
    >>> from engine.testing import TestingSink, TestingSource, run_main
    >>> flow = Dataflow("filter_example")
    >>> s = op.input("inp", flow, TestingSource(range(4)))
    >>> s = op.filter("odd", s, lambda x: x % 2 == 1)
    >>> out = []
    >>> op.output("out", s, TestingSink(out))
    >>> run_main(flow)
    >>> out
    [1, 3]
    """
    # The type checker takes the annotation's word; we do not.
    holds: Callable[[X], object] = predicate
    wrong = partial(raise_not_bool, predicate)

    def filter_items(items: list[X]) -> list[X]:
        return [
            item
            for item in items
            if (keep := holds(item)) is True or (keep is not False and wrong(keep))
        ]

    down: Stream[X] = up.scope.add(FlatMapBatch(filter_items), up)
    return down


@operator
def filter_value(
    step_id: str, up: KeyedStream[V], predicate: Callable[[V], bool]
) -> KeyedStream[V]:
    """Keep only items for whose value a predicate holds.

    Args:
        step_id: Unique ID.
        up: Keyed stream.
        predicate: From a value to whether to keep it.

    Returns:
        A keyed stream of the items for which the predicate returned `True`.

    Raises:
        TypeError: While running, if an item is not a `(key, value)` 2-tuple, or the
            predicate does not return a bool.

    >>> import engine.operators as op
    >>> from engine.dataflow import Dataflow
    >>> from engine.testing import TestingSink, TestingSource, run_main
    >>> flow = Dataflow("filter_value_example")
    >>> s = op.input("inp", flow, TestingSource([("a", 1), ("a", 2), ("b", 3)]))
    >>> s = op.filter_value("odd", s, lambda x: x % 2 == 1)
    >>> out = []
    >>> op.output("out", s, TestingSink(out))
    >>> run_main(flow)
    >>> out
    [('a', 1), ('b', 3)]
    """
    # The type checker takes the annotation's word; we do not.
    holds: Callable[[V], object] = predicate
    wrong = partial(raise_not_bool, predicate)

    def filter_values(items: list[tuple[str, V]]) -> list[tuple[str, V]]:
        rest = iter(items)
        try:
            return [
                (key, value)
                for key, value in rest
                if (keep := holds(value)) is True or (keep is not False and wrong(keep))
            ]
        except (TypeError, ValueError):
            check_pair(current(items, rest))
            raise

    down: KeyedStream[V] = up.scope.add(FlatMapBatch(filter_values), up)
    return down


@operator
def filter_map(step_id: str, up: Stream[X], mapper: Callable[[X], Y | None]) -> Stream[Y]:
    """Transform items one by one, and drop those for which there is `None`.

    Args:
        step_id: Unique ID.
        up: Stream.
        mapper: From an item to the item to pass on, or `None` for nothing.

    Returns:
        A stream of what the mapper returned, without `None`.

    >>> import engine.operators as op
    >>> from engine.dataflow import Dataflow
    >>> from engine.testing import TestingSink, TestingSource, run_main
    >>> flow = Dataflow("filter_map_example")
    >>> s = op.input("inp", flow, TestingSource([{"id": 7}, {"bad": 8}]))
    >>> s = op.filter_map("ids", s, lambda record: record.get("id"))
    >>> out = []
    >>> op.output("out", s, TestingSink(out))
    >>> run_main(flow)
    >>> out
    [7]
    """

    def filter_map_items(items: list[X]) -> list[Y]:
        return [mapped for item in items if (mapped := mapper(item)) is not None]

    down: Stream[Y] = up.scope.add(FlatMapBatch(filter_map_items), up)
    return down


@operator
def filter_map_value(
    step_id: str, up: KeyedStream[V], mapper: Callable[[V], W | None]
) -> KeyedStream[W]:
    """Transform values one by one, and drop those for which there is `None`.

    Args:
        step_id: Unique ID.
        up: Keyed stream.
        mapper: From a value to the value to pass on, or `None` for nothing.

    Returns:
        A keyed stream of what the mapper returned, without `None`.

    Raises:
        TypeError: While running, if an item is not a `(key, value)` 2-tuple.

    >>> import engine.operators as op
    >>> from engine.dataflow import Dataflow
    >>> from engine.testing import TestingSink, TestingSource, run_main
    >>> flow = Dataflow("filter_map_value_example")
    >>> s = op.input("inp", flow, TestingSource([("a", {"id": 7}), ("b", {"bad": 8})]))
    >>> s = op.filter_map_value("ids", s, lambda record: record.get("id"))
    >>> out = []
    >>> op.output("out", s, TestingSink(out))
    >>> run_main(flow)
    >>> out
    [('a', 7)]
    """

    def filter_map_values(items: list[tuple[str, V]]) -> list[tuple[str, W]]:
        rest = iter(items)
        try:
            return [(key, mapped) for key, value in rest if (mapped := mapper(value)) is not None]
        except (TypeError, ValueError):
            check_pair(current(items, rest))
            raise

    down: KeyedStream[W] = up.scope.add(FlatMapBatch(filter_map_values), up)
    return down
