"""The operator that gathers values in lists."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import NamedTuple, TypeVar

from engine.context import worker_now
from engine.dataflow import KeyedStream, operator
from engine.errors import DataflowError
from engine.operators.logic import StatefulBatchLogic, stateful_batch

V = TypeVar("V")


class _Collected(NamedTuple):
    """State of a key: its values, and when they are passed on whatever comes."""

    values: list[object]
    timeout_at: datetime | None


class _CollectLogic(StatefulBatchLogic[V, list[V], _Collected]):
    """Gather the values of a key.

    Args:
        now: Clock.
        timeout: How long to wait for more.
        max_size: Length of a full list.
        resume: State to resume from.
    """

    def __init__(
        self,
        now: Callable[[], datetime],
        timeout: timedelta,
        max_size: int,
        resume: _Collected | None,
    ) -> None:
        self._now = now
        self._timeout = timeout
        self._max_size = max_size
        self._values: list[V] = []
        self._timeout_at: datetime | None = None
        if resume is not None:
            self._values += resume.values  # type: ignore[arg-type]  # they were of the same step
            self._timeout_at = resume.timeout_at

    def on_batch(self, values: list[V]) -> tuple[list[list[V]], bool]:
        gathered = self._values + values
        size = self._max_size
        full = len(gathered) // size * size
        self._values = gathered[full:]
        self._timeout_at = self._now() + self._timeout
        lists = [gathered[start : start + size] for start in range(0, full, size)]
        return lists, not self._values

    def on_notify(self) -> tuple[list[list[V]], bool]:
        return [self._values], self.DISCARD

    def on_eof(self) -> tuple[list[list[V]], bool]:
        return [self._values], self.DISCARD

    def notify_at(self) -> datetime | None:
        return self._timeout_at

    def snapshot(self) -> _Collected:
        return _Collected(list(self._values), self._timeout_at)


@operator
def collect(
    step_id: str, up: KeyedStream[V], timeout: timedelta, max_size: int
) -> KeyedStream[list[V]]:
    """Gather the values of each key in lists.

    Args:
        step_id: Unique ID.
        up: Keyed stream.
        timeout: Pass on what there is when no value has come for this long.
        max_size: Pass on a list when it has this length.

    Returns:
        A keyed stream of lists of values.

    Raises:
        DataflowError: If `max_size` is less than 1.
        TypeError: While running, if an item is not a `(key, value)` 2-tuple with a str key.

    >>> from datetime import timedelta
    >>> import engine.operators as op
    >>> from engine.dataflow import Dataflow
    >>> from engine.testing import TestingSink, TestingSource, run_main
    >>> flow = Dataflow("collect_example")
    >>> s = op.input("inp", flow, TestingSource([("a", 1), ("b", 2), ("a", 3), ("a", 4)]))
    >>> s = op.collect("pairs", s, timeout=timedelta(seconds=10), max_size=2)
    >>> out = []
    >>> op.output("out", s, TestingSink(out))
    >>> run_main(flow)
    >>> out
    [('a', [1, 3]), ('a', [4]), ('b', [2])]
    """
    if max_size < 1:
        raise DataflowError(up.scope.path, f"`max_size` is {max_size}", "Pass 1 or more.")

    def build(resume: _Collected | None) -> _CollectLogic[V]:
        return _CollectLogic(worker_now, timeout, max_size, resume)

    return stateful_batch("stateful_batch", up, build)
