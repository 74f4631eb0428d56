"""Operators that add and remove keys."""

from collections.abc import Callable
from typing import TypeVar

from engine.dataflow import KeyedStream, Stream, operator
from engine.shapes import check_keys, check_pair, current
from engine.steps import FlatMapBatch

X = TypeVar("X")


@operator
def key_on(step_id: str, up: Stream[X], key: Callable[[X], str]) -> KeyedStream[X]:
    """Give each item a key, as operators that keep state need it.

    Args:
        step_id: Unique ID.
        up: Stream.
        key: From an item to its key.

    Returns:
        A keyed stream of `(key, item)`.

    Raises:
        TypeError: While running, if `key` does not return a str.

    >>> import engine.operators as op
    >>> from engine.dataflow import Dataflow
    >>> from engine.testing import TestingSink, TestingSource, run_main
    >>> flow = Dataflow("key_on_example")
    >>> s = op.input("inp", flow, TestingSource([{"id": 7}, {"id": 8}]))
    >>> s = op.key_on("by_id", s, lambda record: str(record["id"]))
    >>> out = []
    >>> op.output("out", s, TestingSink(out))
    >>> run_main(flow)
    >>> out
    [('7', {'id': 7}), ('8', {'id': 8})]
    """

    def add_keys(items: list[X]) -> list[tuple[str, X]]:
        keys = [key(item) for item in items]
        check_keys(key, keys)
        return list(zip(keys, items, strict=True))

    down: KeyedStream[X] = up.scope.add(FlatMapBatch(add_keys), up)
    return down


@operator
def key_rm(step_id: str, up: KeyedStream[X]) -> Stream[X]:
    """Remove the keys.

    Args:
        step_id: Unique ID.
        up: Keyed stream.

    Returns:
        A stream of the values.

    Raises:
        TypeError: While running, if an item is not a `(key, value)` 2-tuple.

    >>> import engine.operators as op
    >>> from engine.dataflow import Dataflow
    >>> from engine.testing import TestingSink, TestingSource, run_main
    >>> flow = Dataflow("key_rm_example")
    >>> s = op.input("inp", flow, TestingSource([("a", 1), ("b", 2)]))
    >>> s = op.key_rm("unkey", s)
    >>> out = []
    >>> op.output("out", s, TestingSink(out))
    >>> run_main(flow)
    >>> out
    [1, 2]
    """

    def remove_keys(items: list[tuple[str, X]]) -> list[X]:
        rest = iter(items)
        try:
            return [value for _, value in rest]
        except (TypeError, ValueError):
            check_pair(current(items, rest))
            raise

    down: Stream[X] = up.scope.add(FlatMapBatch(remove_keys), up)
    return down
