"""Operators that keep an object of user code for each key."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from functools import partial
from typing import Any, ClassVar, Generic, TypeVar

from engine.chunks import keyed_chunks
from engine.dataflow import KeyedStream, operator
from engine.keyed import KeyedItem, KeyedOperator
from engine.shapes import check_key, check_keyed, current, shown, wrong_return
from engine.steps import Keyed
from engine.timers import Timers

V = TypeVar("V")
W = TypeVar("W")
S = TypeVar("S")


class _Logic(ABC, Generic[V, W, S]):
    """What the logics of `stateful` and `stateful_batch` have in common."""

    RETAIN: ClassVar[bool] = False
    """Return this beside the values to keep the logic."""

    DISCARD: ClassVar[bool] = True
    """Return this beside the values to forget the logic, and with it the state of its key."""

    def on_notify(self) -> tuple[Iterable[W], bool]:
        """Handle that the time has come that `notify_at` named.

        Returns:
            Values to pass on, and whether to discard this logic. By default none, and not.
        """
        return (), self.RETAIN

    def on_eof(self) -> tuple[Iterable[W], bool]:
        """Handle the end of input.

        Returns:
            Values to pass on, and whether to discard this logic. By default none, and not.
        """
        return (), self.RETAIN

    def notify_at(self) -> datetime | None:
        """When to be notified, with time zone; it is asked whenever another method was called.

        Returns:
            The soonest time of all, or `None` for never, which is the default.
        """
        return None

    @abstractmethod
    def snapshot(self) -> S:
        """Copy the state, so that what happens later does not change the copy.

        Returns:
            What the builder is given when the dataflow resumes; it is pickled.
        """


class StatefulBatchLogic(_Logic[V, W, S]):
    """State of one key of `stateful_batch`, and what to do with its values."""

    @abstractmethod
    def on_batch(self, values: list[V]) -> tuple[Iterable[W], bool]:
        """Handle some values of the key, in the order in which they came.

        Returns:
            Values to pass on, and whether to discard this logic.
        """


class StatefulLogic(_Logic[V, W, S]):
    """State of one key of `stateful`, and what to do with its values."""

    @abstractmethod
    def on_item(self, value: V) -> tuple[Iterable[W], bool]:
        """Handle a value of the key.

        Returns:
            Values to pass on, and whether to discard this logic.
        """


LogicT = TypeVar("LogicT", bound=_Logic[Any, Any, Any])
_TWO = 2

Pairs = Iterator[tuple[str, Any]]


class _KeyedLogics(KeyedOperator, Generic[LogicT]):
    """The logics of all keys, and when they want to be notified.

    Args:
        builder: Makes the logic of a new key.
        kind: What it has to return an instance of.
    """

    def __init__(self, builder: Callable[[Any], LogicT], kind: type[LogicT]) -> None:
        self._builder = builder
        self._kind = kind
        self._logics: dict[str, LogicT] = {}
        self._timers = Timers()

    @abstractmethod
    def _handle(self, groups: Iterable[tuple[str, list[Any]]]) -> Pairs:
        """Give values to the logics of their keys."""

    def on_items(self, items: list[KeyedItem]) -> Iterator[list[KeyedItem]]:
        groups: dict[str, list[Any]] = {}
        rest = iter(items)
        try:
            for key, value in rest:
                if key in groups:
                    groups[key].append(value)
                else:
                    check_key(key)
                    groups[key] = [value]
        except (TypeError, ValueError):
            check_keyed(current(items, rest))
            raise
        return self.on_groups(groups.items())

    def on_groups(self, groups: Iterable[tuple[str, list[Any]]]) -> Iterator[list[KeyedItem]]:
        return keyed_chunks(self._handle(groups), _no_iterable)

    def on_notify(self, now: datetime) -> Iterator[list[KeyedItem]]:
        due = self._timers.pop_due(now)
        return keyed_chunks(self._call_all(due, "on_notify"), _no_iterable)

    def on_eof(self) -> Iterator[list[KeyedItem]]:
        keys = sorted(self._logics)
        return keyed_chunks(self._call_all(keys, "on_eof"), _no_iterable)

    def next_notify(self) -> datetime | None:
        return self._timers.next()

    def _call_all(self, keys: list[str], method: str) -> Pairs:
        for key in keys:
            logic = self._logics[key]
            emitted, discard = _checked(method, getattr(logic, method)())
            yield key, emitted
            self._settle(key, None if discard else logic)

    def _build(self, key: str) -> LogicT:
        check_key(key)
        logic = self._builder(None)
        if not isinstance(logic, self._kind):
            expected = f"a {self._kind.__name__}"
            error = wrong_return("the builder", self._builder, expected, logic)
            raise error
        self._logics[key] = logic
        return logic

    def _settle(self, key: str, logic: LogicT | None) -> None:
        """Keep or forget the logic of a key after its methods were called."""
        if logic is None:
            self._logics.pop(key, None)
            self._timers.set(key, None)
            return
        at: Any = logic.notify_at()
        if at is not None and (not isinstance(at, datetime) or at.tzinfo is None):
            msg = f"`notify_at` has to return a datetime with time zone or None, not {shown(at)}"
            raise TypeError(msg)
        if at is not None or self._timers:
            self._timers.set(key, at)


class _BatchLogics(_KeyedLogics[StatefulBatchLogic[Any, Any, Any]]):
    """What a worker runs for `stateful_batch`."""

    def _handle(self, groups: Iterable[tuple[str, list[Any]]]) -> Pairs:
        known = self._logics.get
        for key, values in groups:
            logic = known(key)
            if logic is None:
                logic = self._build(key)
            emitted, discard = _checked("on_batch", logic.on_batch(values))
            yield key, emitted
            self._settle(key, None if discard else logic)


class _ItemLogics(_KeyedLogics[StatefulLogic[Any, Any, Any]]):
    """What a worker runs for `stateful`."""

    def _handle(self, groups: Iterable[tuple[str, list[Any]]]) -> Pairs:
        known = self._logics.get
        for key, values in groups:
            logic = known(key)
            for value in values:
                if logic is None:
                    logic = self._build(key)
                emitted, discard = _checked("on_item", logic.on_item(value))
                yield key, emitted
                if discard:
                    logic = None
            self._settle(key, logic)


def _checked(method: str, returned: Any) -> tuple[Any, bool]:
    """What a method of a logic returned, if it has the right shape."""
    if type(returned) is tuple and len(returned) == _TWO and type(returned[1]) is bool:
        return returned
    expected = "a 2-tuple of an iterable of values and a bool, whether to discard the logic"
    msg = f"`{method}` has to return {expected}, not {shown(returned)}"
    raise TypeError(msg)


def _no_iterable(values: object) -> TypeError:
    return TypeError(f"the values that a logic returns have to be an iterable, not {shown(values)}")


@operator
def stateful_batch(
    step_id: str,
    up: KeyedStream[V],
    builder: Callable[[S | None], StatefulBatchLogic[V, W, S]],
) -> KeyedStream[W]:
    """Keep a logic for each key, and give it the values of the key in batches.

    This is the most general operator with state; try `stateful_map` or `collect` first.

    Args:
        step_id: Unique ID.
        up: Keyed stream.
        builder: Makes the logic of a new key. It is given the snapshot to resume from, or
            `None`.

    Returns:
        A keyed stream of the values that the logics returned.

    Raises:
        TypeError: While running, if an item is not a `(key, value)` 2-tuple with a str key,
            or the builder or a logic returns something else than it has to.

    >>> import engine.operators as op
    >>> from engine.dataflow import Dataflow
    >>> from engine.testing import TestingSink, TestingSource, run_main
    >>> class Sum(op.StatefulBatchLogic[int, int, int]):
    ...     def __init__(self, total):
    ...         self.total = total
    ...     def on_batch(self, values):
    ...         self.total += sum(values)
    ...         return [], self.RETAIN
    ...     def on_eof(self):
    ...         return [self.total], self.DISCARD
    ...     def snapshot(self):
    ...         return self.total
    >>> flow = Dataflow("stateful_batch_example")
    >>> s = op.input("inp", flow, TestingSource([("a", 1), ("b", 2), ("a", 3)]))
    >>> s = op.stateful_batch("sum", s, lambda resume: Sum(resume or 0))
    >>> out = []
    >>> op.output("out", s, TestingSink(out))
    >>> run_main(flow)
    >>> out
    [('a', 4), ('b', 2)]
    """
    kind: Any = StatefulBatchLogic
    down: KeyedStream[W] = up.scope.add(Keyed(partial(_BatchLogics, builder, kind)), up)
    return down


@operator
def stateful(
    step_id: str,
    up: KeyedStream[V],
    builder: Callable[[S | None], StatefulLogic[V, W, S]],
) -> KeyedStream[W]:
    """Keep a logic for each key, and give it the values of the key one by one.

    Args:
        step_id: Unique ID.
        up: Keyed stream.
        builder: Makes the logic of a new key. It is given the snapshot to resume from, or
            `None`.

    Returns:
        A keyed stream of the values that the logics returned.

    Raises:
        TypeError: While running, if an item is not a `(key, value)` 2-tuple with a str key,
            or the builder or a logic returns something else than it has to.

    >>> import engine.operators as op
    >>> from engine.dataflow import Dataflow
    >>> from engine.testing import TestingSink, TestingSource, run_main
    >>> class Pairs(op.StatefulLogic[int, tuple[int, int], int | None]):
    ...     def __init__(self, first):
    ...         self.first = first
    ...     def on_item(self, value):
    ...         if self.first is None:
    ...             self.first = value
    ...             return [], self.RETAIN
    ...         return [(self.first, value)], self.DISCARD
    ...     def snapshot(self):
    ...         return self.first
    >>> flow = Dataflow("stateful_example")
    >>> s = op.input("inp", flow, TestingSource([("a", 1), ("b", 2), ("a", 3), ("a", 4)]))
    >>> s = op.stateful("pair", s, Pairs)
    >>> out = []
    >>> op.output("out", s, TestingSink(out))
    >>> run_main(flow)
    >>> out
    [('a', (1, 3))]
    """
    kind: Any = StatefulLogic
    down: KeyedStream[W] = up.scope.add(Keyed(partial(_ItemLogics, builder, kind)), up)
    return down
