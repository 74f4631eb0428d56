"""Operators that give one value for each key at the end of input."""

from abc import abstractmethod
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Any, TypeVar

from engine.chunks import chunks
from engine.dataflow import KeyedStream, operator
from engine.keyed import KeyedItem, KeyedOperator
from engine.shapes import check_key, check_keyed, current
from engine.steps import Keyed

V = TypeVar("V")
S = TypeVar("S")


def in_chunks(items: Iterable[KeyedItem]) -> Iterator[list[KeyedItem]]:
    """Items in chunks."""
    return chunks(iter, (items,), TypeError)


class _Final(KeyedOperator):
    """The state of each key, emitted at the end of input."""

    def __init__(self) -> None:
        self._states: dict[str, Any] = {}

    @abstractmethod
    def _take(self, items: Iterator[KeyedItem]) -> None:
        """Bring the states up to date."""

    def on_items(self, items: list[KeyedItem]) -> Iterator[list[KeyedItem]]:
        rest = iter(items)
        try:
            self._take(rest)
        except (TypeError, ValueError):
            check_keyed(current(items, rest))
            raise
        return iter(())

    def on_eof(self) -> Iterator[list[KeyedItem]]:
        states, self._states = self._states, {}
        keys = sorted(states)
        return in_chunks(zip(keys, map(states.__getitem__, keys), strict=True))


class _FoldFinal(_Final):
    """What a worker runs for `fold_final`.

    Args:
        builder: Makes the state of a new key.
        folder: From state and value to new state.
    """

    def __init__(self, builder: Callable[[], Any], folder: Callable[[Any, Any], Any]) -> None:
        super().__init__()
        self._builder = builder
        self._folder = folder

    def _take(self, items: Iterator[KeyedItem]) -> None:
        folder, states = self._folder, self._states
        for key, value in items:
            if key in states:
                states[key] = folder(states[key], value)
            else:
                states[key] = folder(self._new(key), value)

    def on_groups(self, groups: Iterable[tuple[str, list[Any]]]) -> Iterator[list[KeyedItem]]:
        folder, states = self._folder, self._states
        for key, values in groups:
            state = states[key] if key in states else self._new(key)
            for value in values:
                state = folder(state, value)
            states[key] = state
        return iter(())

    def _new(self, key: object) -> Any:
        check_key(key)
        return self._builder()


class _ReduceFinal(_Final):
    """What a worker runs for `reduce_final`.

    Args:
        reducer: From two values to one.
    """

    def __init__(self, reducer: Callable[[Any, Any], Any]) -> None:
        super().__init__()
        self._reducer = reducer

    def _take(self, items: Iterator[KeyedItem]) -> None:
        reducer, states = self._reducer, self._states
        for key, value in items:
            if key in states:
                states[key] = reducer(states[key], value)
            else:
                check_key(key)
                states[key] = value

    def on_groups(self, groups: Iterable[tuple[str, list[Any]]]) -> Iterator[list[KeyedItem]]:
        reducer, states = self._reducer, self._states
        for key, values in groups:
            rest = iter(values)
            if key in states:
                state = states[key]
            else:
                check_key(key)
                state = next(rest)
            for value in rest:
                state = reducer(state, value)
            states[key] = state
        return iter(())


@operator
def fold_final(
    step_id: str,
    up: KeyedStream[V],
    builder: Callable[[], S],
    folder: Callable[[S, V], S],
) -> KeyedStream[S]:
    """Fold the values of each key into an accumulator, and emit it at the end of input.

    Args:
        step_id: Unique ID.
        up: Keyed stream; its input has to end.
        builder: Makes the accumulator of a new key.
        folder: From the accumulator and a value to the updated accumulator.

    Returns:
        A keyed stream of the accumulators.

    Raises:
        TypeError: While running, if an item is not a `(key, value)` 2-tuple with a str key.

    >>> import engine.operators as op
    >>> from engine.dataflow import Dataflow
    >>> from engine.testing import TestingSink, TestingSource, run_main
    >>> flow = Dataflow("fold_final_example")
    >>> s = op.input("inp", flow, TestingSource([("a", 1), ("b", 2), ("a", 3)]))
    >>> s = op.fold_final("gather", s, list, lambda acc, x: acc + [x])
    >>> out = []
    >>> op.output("out", s, TestingSink(out))
    >>> run_main(flow)
    >>> out
    [('a', [1, 3]), ('b', [2])]
    """
    down: KeyedStream[S] = up.scope.add(Keyed(partial(_FoldFinal, builder, folder)), up)
    return down


@operator
def reduce_final(step_id: str, up: KeyedStream[V], reducer: Callable[[V, V], V]) -> KeyedStream[V]:
    """Combine the values of each key, and emit the result at the end of input.

    Args:
        step_id: Unique ID.
        up: Keyed stream; its input has to end.
        reducer: From what was combined so far, which is the first value of the key at first,
            and a value to what is combined now.

    Returns:
        A keyed stream of the results.

    Raises:
        TypeError: While running, if an item is not a `(key, value)` 2-tuple with a str key.

    >>> import engine.operators as op
    >>> from engine.dataflow import Dataflow
    >>> from engine.testing import TestingSink, TestingSource, run_main
    >>> flow = Dataflow("reduce_final_example")
    >>> s = op.input("inp", flow, TestingSource([("a", 2), ("b", 5), ("a", 3)]))
    >>> s = op.reduce_final("product", s, lambda x, y: x * y)
    >>> out = []
    >>> op.output("out", s, TestingSink(out))
    >>> run_main(flow)
    >>> out
    [('a', 6), ('b', 5)]
    """
    down: KeyedStream[V] = up.scope.add(Keyed(partial(_ReduceFinal, reducer)), up)
    return down
