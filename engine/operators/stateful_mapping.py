"""Operators that call a function with the state of the key."""

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Any, TypeVar

from engine.chunks import keyed_chunks
from engine.dataflow import KeyedStream, operator
from engine.keyed import KeyedItem, KeyedOperator
from engine.shapes import check_key, check_keyed, current, wrong_return
from engine.steps import Keyed

V = TypeVar("V")
W = TypeVar("W")
S = TypeVar("S")


class _StatefulMap(KeyedOperator):
    """What a worker runs for `stateful_map`.

    Args:
        mapper: From state and value to new state and value.
    """

    def __init__(self, mapper: Callable[[Any, Any], tuple[Any, Any]]) -> None:
        self._mapper = mapper
        self._states: dict[str, Any] = {}

    def on_items(self, items: list[KeyedItem]) -> Iterator[list[KeyedItem]]:
        mapper, states = self._mapper, self._states
        out: list[KeyedItem] = []
        returned: Any = (None, None)
        rest = iter(items)
        try:
            for key, value in rest:
                state = states.get(key)
                if state is None:
                    check_key(key)
                returned = mapper(state, value)
                state, emitted = returned
                if state is None:
                    states.pop(key, None)
                else:
                    states[key] = state
                out.append((key, emitted))
        except (TypeError, ValueError):
            check_keyed(current(items, rest))
            _check_two(self._mapper, returned, "emit_value")
            raise
        return iter((out,))

    def on_groups(self, groups: Iterable[tuple[str, list[Any]]]) -> Iterator[list[KeyedItem]]:
        mapper, states = self._mapper, self._states
        out: list[KeyedItem] = []
        emit = out.append
        returned: Any = (None, None)
        try:
            for key, values in groups:
                state = states.get(key)
                if state is None:
                    check_key(key)
                for value in values:
                    returned = mapper(state, value)
                    state, emitted = returned
                    emit((key, emitted))
                if state is None:
                    states.pop(key, None)
                else:
                    states[key] = state
        except (TypeError, ValueError):
            _check_two(self._mapper, returned, "emit_value")
            raise
        return iter((out,))


class _StatefulFlatMap(KeyedOperator):
    """What a worker runs for `stateful_flat_map`.

    Args:
        mapper: From state and value to new state and any number of values.
    """

    def __init__(self, mapper: Callable[[Any, Any], tuple[Any, Iterable[Any]]]) -> None:
        self._mapper = mapper
        self._states: dict[str, Any] = {}
        self._wrong = partial(
            wrong_return, "the mapper", mapper, "an iterable as the second item of its 2-tuple"
        )

    def on_items(self, items: list[KeyedItem]) -> Iterator[list[KeyedItem]]:
        return keyed_chunks(self._pairs(items), self._wrong)

    def on_groups(self, groups: Iterable[tuple[str, list[Any]]]) -> Iterator[list[KeyedItem]]:
        return self.on_items([(key, value) for key, values in groups for value in values])

    def _pairs(self, items: list[KeyedItem]) -> Iterator[tuple[str, Iterable[Any]]]:
        mapper, states = self._mapper, self._states
        known = states.get
        returned: Any = (None, None)
        rest = iter(items)
        try:
            for key, value in rest:
                state = known(key)
                if state is None:
                    check_key(key)
                returned = mapper(state, value)
                state, emitted = returned
                if state is None:
                    states.pop(key, None)
                else:
                    states[key] = state
                yield key, emitted
        except (TypeError, ValueError):
            check_keyed(current(items, rest))
            _check_two(self._mapper, returned, "emit_values")
            raise


def _check_two(mapper: Callable[..., Any], returned: Any, emitted: str) -> None:
    """Raise a TypeError unless a mapper returned two things."""
    match returned:
        case (_, _):
            return
    expected = f"a 2-tuple of (updated_state, {emitted})"
    error = wrong_return("the mapper", mapper, expected, returned)
    raise error from None


@operator
def stateful_map(
    step_id: str,
    up: KeyedStream[V],
    mapper: Callable[[S | None, V], tuple[S | None, W]],
) -> KeyedStream[W]:
    """Transform values one by one, with a state for each key.

    Args:
        step_id: Unique ID.
        up: Keyed stream.
        mapper: Called with the state of the key, `None` at first, and a value. Returns a
            2-tuple of the updated state, `None` to forget it, and the value to pass on.

    Returns:
        A keyed stream of the values that the mapper returned.

    Raises:
        TypeError: While running, if an item is not a `(key, value)` 2-tuple with a str key,
            or the mapper does not return a 2-tuple.

    >>> import engine.operators as op
    >>> from engine.dataflow import Dataflow
    >>> from engine.testing import TestingSink, TestingSource, run_main
    >>> flow = Dataflow("stateful_map_example")
    >>> s = op.input("inp", flow, TestingSource([("a", 1), ("b", 2), ("a", 3)]))
    >>> def running_sum(total, value):
    ...     total = (total or 0) + value
    ...     return total, total
    >>> s = op.stateful_map("sum", s, running_sum)
    >>> out = []
    >>> op.output("out", s, TestingSink(out))
    >>> run_main(flow)
    >>> out
    [('a', 1), ('b', 2), ('a', 4)]
    """
    down: KeyedStream[W] = up.scope.add(Keyed(partial(_StatefulMap, mapper)), up)
    return down


@operator
def stateful_flat_map(
    step_id: str,
    up: KeyedStream[V],
    mapper: Callable[[S | None, V], tuple[S | None, Iterable[W]]],
) -> KeyedStream[W]:
    """Transform each value into any number of values, with a state for each key.

    Args:
        step_id: Unique ID.
        up: Keyed stream.
        mapper: Called with the state of the key, `None` at first, and a value. Returns a
            2-tuple of the updated state, `None` to forget it, and an iterable of the values
            to pass on.

    Returns:
        A keyed stream of the values in what the mapper returned.

    Raises:
        TypeError: While running, if an item is not a `(key, value)` 2-tuple with a str key,
            or the mapper does not return a 2-tuple with an iterable.

    >>> import engine.operators as op
    >>> from engine.dataflow import Dataflow
    >>> from engine.testing import TestingSink, TestingSource, run_main
    >>> flow = Dataflow("stateful_flat_map_example")
    >>> s = op.input("inp", flow, TestingSource([("a", 1), ("a", 1), ("a", 2), ("b", 2)]))
    >>> def changes(last, value):
    ...     return value, [] if value == last else [value]
    >>> s = op.stateful_flat_map("changes", s, changes)
    >>> out = []
    >>> op.output("out", s, TestingSink(out))
    >>> run_main(flow)
    >>> out
    [('a', 1), ('a', 2), ('b', 2)]
    """
    down: KeyedStream[W] = up.scope.add(Keyed(partial(_StatefulFlatMap, mapper)), up)
    return down
