"""Operators that make other items of each item."""

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import TypeVar

from engine.chunks import chunks, keyed_chunks
from engine.dataflow import KeyedStream, Stream, operator
from engine.shapes import check_pair, current, shown, wrong_return
from engine.steps import FlatMapBatch, FlatMapChunks

X = TypeVar("X")
Y = TypeVar("Y")
V = TypeVar("V")
W = TypeVar("W")


@operator
def map(step_id: str, up: Stream[X], mapper: Callable[[X], Y]) -> Stream[Y]:
    """Transform items one by one.

    Args:
        step_id: Unique ID.
        up: Stream.
        mapper: From an item to the item to pass on.

    Returns:
        A stream of what the mapper returned.

    >>> import engine.operators as op
    >>> from engine.dataflow import Dataflow
    >>> from engine.testing import TestingSink, TestingSource, run_main
    >>> flow = Dataflow("map_example")
    >>> s = op.input("inp", flow, TestingSource([0, 1, 2]))
    >>> s = op.map("add_ten", s, lambda x: x + 10)
    >>> out = []
    >>> op.output("out", s, TestingSink(out))
    >>> run_main(flow)
    >>> out
    [10, 11, 12]
    """

    def map_items(items: list[X]) -> list[Y]:
        return [mapper(item) for item in items]

    down: Stream[Y] = up.scope.add(FlatMapBatch(map_items), up)
    return down


@operator
def map_value(step_id: str, up: KeyedStream[V], mapper: Callable[[V], W]) -> KeyedStream[W]:
    """Transform values one by one and leave their keys.

    Args:
        step_id: Unique ID.
        up: Keyed stream.
        mapper: From a value to the value to pass on.

    Returns:
        A keyed stream of what the mapper returned.

    Raises:
        TypeError: While running, if an item is not a `(key, value)` 2-tuple.

    >>> import engine.operators as op
    >>> from engine.dataflow import Dataflow
    >>> from engine.testing import TestingSink, TestingSource, run_main
    >>> flow = Dataflow("map_value_example")
    >>> s = op.input("inp", flow, TestingSource([("a", 1), ("b", 2)]))
    >>> s = op.map_value("double", s, lambda x: x * 2)
    >>> out = []
    >>> op.output("out", s, TestingSink(out))
    >>> run_main(flow)
    >>> out
    [('a', 2), ('b', 4)]
    """

    def map_values(items: list[tuple[str, V]]) -> list[tuple[str, W]]:
        rest = iter(items)
        try:
            return [(key, mapper(value)) for key, value in rest]
        except (TypeError, ValueError):
            check_pair(current(items, rest))
            raise

    down: KeyedStream[W] = up.scope.add(FlatMapBatch(map_values), up)
    return down


@operator
def flat_map(step_id: str, up: Stream[X], mapper: Callable[[X], Iterable[Y]]) -> Stream[Y]:
    """Transform each item into any number of items.

    What the mapper returns may be of any length: it is pulled only as fast as the steps
    that follow can take it.

    Args:
        step_id: Unique ID.
        up: Stream.
        mapper: From an item to an iterable of the items to pass on.

    Returns:
        A stream of the items in what the mapper returned.

    Raises:
        TypeError: While running, if the mapper does not return an iterable.

    >>> import engine.operators as op
    >>> from engine.dataflow import Dataflow
    >>> from engine.testing import TestingSink, TestingSource, run_main
    >>> flow = Dataflow("flat_map_example")
    >>> s = op.input("inp", flow, TestingSource(["hello world", "hi"]))
    >>> s = op.flat_map("split_words", s, str.split)
    >>> out = []
    >>> op.output("out", s, TestingSink(out))
    >>> run_main(flow)
    >>> out
    ['hello', 'world', 'hi']
    """
    wrong = partial(wrong_return, "the mapper", mapper, "an iterable")

    def flat_map_items(items: list[X]) -> Iterator[list[Y]]:
        return chunks(mapper, items, wrong)

    down: Stream[Y] = up.scope.add(FlatMapChunks(flat_map_items), up)
    return down


@operator
def flat_map_value(
    step_id: str, up: KeyedStream[V], mapper: Callable[[V], Iterable[W]]
) -> KeyedStream[W]:
    """Transform each value into any number of values of the same key.

    Args:
        step_id: Unique ID.
        up: Keyed stream.
        mapper: From a value to an iterable of the values to pass on.

    Returns:
        A keyed stream of the values in what the mapper returned.

    Raises:
        TypeError: While running, if an item is not a `(key, value)` 2-tuple, or the mapper
            does not return an iterable.

    >>> import engine.operators as op
    >>> from engine.dataflow import Dataflow
    >>> from engine.testing import TestingSink, TestingSource, run_main
    >>> flow = Dataflow("flat_map_value_example")
    >>> s = op.input("inp", flow, TestingSource([("a", "hello world"), ("b", "hi")]))
    >>> s = op.flat_map_value("split_words", s, str.split)
    >>> out = []
    >>> op.output("out", s, TestingSink(out))
    >>> run_main(flow)
    >>> out
    [('a', 'hello'), ('a', 'world'), ('b', 'hi')]
    """
    wrong = partial(wrong_return, "the mapper", mapper, "an iterable")

    def map_values(items: list[tuple[str, V]]) -> Iterator[tuple[str, Iterable[W]]]:
        rest = iter(items)
        try:
            for key, value in rest:
                yield key, mapper(value)
        except (TypeError, ValueError):
            check_pair(current(items, rest))
            raise

    def flat_map_values(items: list[tuple[str, V]]) -> Iterator[list[tuple[str, W]]]:
        return keyed_chunks(map_values(items), wrong)

    down: KeyedStream[W] = up.scope.add(FlatMapChunks(flat_map_values), up)
    return down


@operator
def flat_map_batch(
    step_id: str, up: Stream[X], mapper: Callable[[list[X]], Iterable[Y]]
) -> Stream[Y]:
    """Transform whole batches into any number of items.

    How many items are in a batch is up to the engine. This saves time where many items at
    once take less of it than one by one, as with NumPy. To gather items that belong
    together use `collect`.

    Args:
        step_id: Unique ID.
        up: Stream.
        mapper: From a list of items to an iterable of the items to pass on.

    Returns:
        A stream of the items in what the mapper returned.

    Raises:
        TypeError: While running, if the mapper does not return an iterable.

    >>> import engine.operators as op
    >>> from engine.dataflow import Dataflow
    >>> from engine.testing import TestingSink, TestingSource, run_main
    >>> flow = Dataflow("flat_map_batch_example")
    >>> s = op.input("inp", flow, TestingSource([1, 2, 3], batch_size=3))
    >>> s = op.flat_map_batch("negate", s, lambda batch: [-x for x in batch])
    >>> out = []
    >>> op.output("out", s, TestingSink(out))
    >>> run_main(flow)
    >>> out
    [-1, -2, -3]
    """
    down: Stream[Y] = up.scope.add(FlatMapBatch(mapper), up)
    return down


def _itself(item: X) -> X:
    return item


def _no_iterable(item: object) -> TypeError:
    return TypeError(f"items have to be iterables, not {shown(item)}")


@operator
def flatten(step_id: str, up: Stream[Iterable[X]]) -> Stream[X]:
    """Pass on the items in each item.

    Args:
        step_id: Unique ID.
        up: Stream of iterables.

    Returns:
        A stream of the items in the iterables.

    Raises:
        TypeError: While running, if an item is not an iterable.

    >>> import engine.operators as op
    >>> from engine.dataflow import Dataflow
    >>> from engine.testing import TestingSink, TestingSource, run_main
    >>> flow = Dataflow("flatten_example")
    >>> s = op.input("inp", flow, TestingSource([[1, 2], [3]]))
    >>> s = op.flatten("flatten", s)
    >>> out = []
    >>> op.output("out", s, TestingSink(out))
    >>> run_main(flow)
    >>> out
    [1, 2, 3]
    """

    def flatten_items(items: list[Iterable[X]]) -> Iterator[list[X]]:
        return chunks(_itself, items, _no_iterable)

    down: Stream[X] = up.scope.add(FlatMapChunks(flatten_items), up)
    return down
