"""Operators that combine items on the worker where they are, before the exchange."""

import operator as builtin_operator
from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from itertools import islice
from typing import Any, TypeVar, overload

from engine.dataflow import KeyedStream, Stream, operator
from engine.keyed import KeyedItem
from engine.operators.final import in_chunks, reduce_final
from engine.preaggregate import PreAggregate
from engine.shapes import check_key, check_keyed, check_keys, current
from engine.steps import PreAggregation

X = TypeVar("X")
V = TypeVar("V")

MOST_HELD = 100_000
"""Keys of which a worker holds partial results; with more it sends them on."""


class _Counts(PreAggregate):
    """Counts of the keys on one worker.

    Args:
        key: From an item to its key.
    """

    def __init__(self, key: Callable[[Any], str]) -> None:
        self._key = key
        self._counts: Counter[str] = Counter()

    def on_items(self, items: list[Any]) -> Iterator[list[KeyedItem]]:
        key, counts = self._key, self._counts
        before = len(counts)
        keys = [key(item) for item in items]
        try:
            counts.update(keys)
        except TypeError:
            check_keys(key, keys)
            raise
        # The new ones only, and they are the last: a key of another type is never an old one.
        check_keys(key, list(islice(reversed(counts), len(counts) - before)))
        return self.flush() if len(counts) > MOST_HELD else iter(())

    def flush(self) -> Iterator[list[KeyedItem]]:
        counts, self._counts = self._counts, Counter()
        return in_chunks(counts.items())


class _Extremes(PreAggregate):
    """The greatest or least values of the keys on one worker.

    Args:
        beats: Whether the first of two ranks is better than the second.
        by: From a value to its rank.
    """

    def __init__(self, beats: Callable[[Any, Any], Any], by: Callable[[Any], Any]) -> None:
        self._beats = beats
        self._by = by
        self._best: dict[str, tuple[Any, Any]] = {}

    def on_items(self, items: list[Any]) -> Iterator[list[KeyedItem]]:
        rest = iter(items)
        try:
            self._take(rest)
        except (TypeError, ValueError):
            check_keyed(current(items, rest))
            raise
        return self.flush() if len(self._best) > MOST_HELD else iter(())

    def _take(self, items: Iterator[KeyedItem]) -> None:
        beats, by, best = self._beats, self._by, self._best
        known = best.get
        for key, value in items:
            rank = by(value)
            held = known(key)
            if held is None:
                check_key(key)
                best[key] = (rank, value)
            # Of equal ones the first stays, as with `max` and `min`.
            elif beats(rank, held[0]):
                best[key] = (rank, value)

    def flush(self) -> Iterator[list[KeyedItem]]:
        best, self._best = self._best, {}
        return in_chunks((key, value) for key, (_, value) in best.items())


@operator
def _pre_aggregate(
    step_id: str, up: Stream[Any], build: Callable[[], PreAggregate]
) -> KeyedStream[Any]:
    down: KeyedStream[Any] = up.scope.add(PreAggregation(build), up)
    return down


@operator
def count_final(step_id: str, up: Stream[X], key: Callable[[X], str]) -> KeyedStream[int]:
    """Count the items of each key, and emit the counts at the end of input.

    Args:
        step_id: Unique ID.
        up: Stream; its input has to end.
        key: From an item to its key.

    Returns:
        A keyed stream of the counts.

    Raises:
        TypeError: While running, if `key` does not return a str.

    >>> import engine.operators as op
    >>> from engine.dataflow import Dataflow
    >>> from engine.testing import TestingSink, TestingSource, run_main
    >>> flow = Dataflow("count_final_example")
    >>> s = op.input("inp", flow, TestingSource(["apple", "pear", "apple"]))
    >>> s = op.count_final("count", s, lambda word: word)
    >>> out = []
    >>> op.output("out", s, TestingSink(out))
    >>> run_main(flow)
    >>> out
    [('apple', 2), ('pear', 1)]
    """
    counts: KeyedStream[int] = _pre_aggregate("pre_count", up, partial(_Counts, key))
    return reduce_final("sum", counts, builtin_operator.add)


def _identity(value: V) -> V:
    return value


@overload
def max_final(step_id: str, up: KeyedStream[V]) -> KeyedStream[V]: ...
@overload
def max_final(step_id: str, up: KeyedStream[V], by: Callable[[V], Any]) -> KeyedStream[V]: ...
@operator
def max_final(
    step_id: str, up: KeyedStream[Any], by: Callable[[Any], Any] = _identity
) -> KeyedStream[Any]:
    """Find the greatest value of each key, and emit it at the end of input.

    Args:
        step_id: Unique ID.
        up: Keyed stream; its input has to end.
        by: From a value to what to compare; the value itself by default.

    Returns:
        A keyed stream of the greatest values; of equal ones, the first.

    Raises:
        TypeError: While running, if an item is not a `(key, value)` 2-tuple with a str key.

    >>> import engine.operators as op
    >>> from engine.dataflow import Dataflow
    >>> from engine.testing import TestingSink, TestingSource, run_main
    >>> flow = Dataflow("max_final_example")
    >>> s = op.input("inp", flow, TestingSource([("a", 1), ("a", 3), ("b", 2)]))
    >>> s = op.max_final("max", s)
    >>> out = []
    >>> op.output("out", s, TestingSink(out))
    >>> run_main(flow)
    >>> out
    [('a', 3), ('b', 2)]
    """
    best = _pre_aggregate("pre_max", up, partial(_Extremes, builtin_operator.gt, by))
    return reduce_final("max", best, partial(max, key=by))


@overload
def min_final(step_id: str, up: KeyedStream[V]) -> KeyedStream[V]: ...
@overload
def min_final(step_id: str, up: KeyedStream[V], by: Callable[[V], Any]) -> KeyedStream[V]: ...
@operator
def min_final(
    step_id: str, up: KeyedStream[Any], by: Callable[[Any], Any] = _identity
) -> KeyedStream[Any]:
    """Find the least value of each key, and emit it at the end of input.

    Args:
        step_id: Unique ID.
        up: Keyed stream; its input has to end.
        by: From a value to what to compare; the value itself by default.

    Returns:
        A keyed stream of the least values; of equal ones, the first.

    Raises:
        TypeError: While running, if an item is not a `(key, value)` 2-tuple with a str key.

    >>> import engine.operators as op
    >>> from engine.dataflow import Dataflow
    >>> from engine.testing import TestingSink, TestingSource, run_main
    >>> flow = Dataflow("min_final_example")
    >>> s = op.input("inp", flow, TestingSource([("a", 1), ("a", 3), ("b", 2)]))
    >>> s = op.min_final("min", s, by=lambda x: -x)
    >>> out = []
    >>> op.output("out", s, TestingSink(out))
    >>> run_main(flow)
    >>> out
    [('a', 3), ('b', 2)]
    """
    best = _pre_aggregate("pre_min", up, partial(_Extremes, builtin_operator.lt, by))
    return reduce_final("min", best, partial(min, key=by))
