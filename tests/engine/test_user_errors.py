"""Whatever user code raises is named, never swallowed, and never a hang."""

import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

import engine.operators as op
from engine.dataflow import Dataflow
from engine.errors import DataflowRuntimeError
from engine.inputs import AbortExecution, DynamicSource, StatelessSourcePartition
from engine.testing import TestingSink, TestingSource, cluster_main, run_main


def flow_that(raises: BaseException) -> Dataflow:
    def fail(_item: int) -> int:
        raise raises

    flow = Dataflow("user")
    numbers = op.input("inp", flow, TestingSource([1, 2, 3]))
    op.output("out", op.map("fail", numbers, fail), TestingSink([]))
    return flow


class UnpicklableError(Exception):
    def __init__(self, needed: object) -> None:
        super().__init__()
        self.needed = needed

    def __reduce__(self) -> str:
        raise TypeError("this cannot be pickled")


class UnprintableError(Exception):
    def __str__(self) -> str:
        raise ValueError("this cannot be printed")


ERRORS = [
    StopIteration("stop"),
    SystemExit(3),
    KeyboardInterrupt(),
    GeneratorExit(),
    UnpicklableError(object()),
    UnprintableError(),
    BaseExceptionGroup("group", [SystemExit(1)]),
]


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
def test_an_exception_is_the_cause_of_one_that_names_the_step(error: BaseException) -> None:
    with pytest.raises(DataflowRuntimeError, match=r"step 'user\.fail' on worker 0") as caught:
        run_main(flow_that(error))
    assert caught.value.__cause__ is error


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
def test_the_same_in_a_thread(error: BaseException) -> None:
    with pytest.raises(DataflowRuntimeError, match=r"step 'user\.fail'") as caught:
        cluster_main(flow_that(error), worker_count_per_proc=2)
    assert caught.value.__cause__ is error


def test_a_stop_iteration_in_a_flat_map_is_the_cause() -> None:
    def fail(item: int) -> list[int]:
        return [next(iter(()))] if item == 2 else [item]

    flow = Dataflow("user")
    numbers = op.input("inp", flow, TestingSource([1, 2, 3], batch_size=3))
    op.output("out", op.flat_map("fail", numbers, fail), TestingSink([]))
    with pytest.raises(DataflowRuntimeError, match=r"user\.fail") as caught:
        run_main(flow)
    assert isinstance(caught.value.__cause__, StopIteration)


def test_a_notification_that_stays_in_the_past_keeps_nothing_else_waiting() -> None:
    class Impatient(op.StatefulLogic[int, int, None]):
        def on_item(self, value: int) -> tuple[list[int], bool]:
            return [value], op.StatefulLogic.RETAIN

        def notify_at(self) -> datetime:
            return datetime(2000, 1, 1, tzinfo=UTC)

        def snapshot(self) -> None:
            return None

    out: list[tuple[str, int]] = []
    flow = Dataflow("past")
    items = op.input("inp", flow, TestingSource([("key", n) for n in range(50)]))
    op.output("out", op.stateful("late", items, lambda _: Impatient()), TestingSink(out))
    run_main(flow)
    assert out == [("key", n) for n in range(50)]


def test_an_abort_is_an_error_of_any_step_but_a_source() -> None:
    with pytest.raises(DataflowRuntimeError, match=r"user\.fail"):
        run_main(flow_that(AbortExecution()))


class WaitsForLocalTime(StatelessSourcePartition[int]):
    def next_batch(self) -> list[int]:
        return []

    def next_awake(self) -> datetime:
        return datetime(2000, 1, 1)  # noqa: DTZ001  # the mistake


class LocalTimeSource(DynamicSource[int]):
    def build(self, step_id: str, worker_index: int, worker_count: int) -> WaitsForLocalTime:
        return WaitsForLocalTime()


def test_a_time_without_a_zone_is_an_error_of_the_source() -> None:
    flow = Dataflow("user")
    op.output("out", op.input("inp", flow, LocalTimeSource()), TestingSink([]))
    with pytest.raises(DataflowRuntimeError, match=r"user\.inp.*next_awake has to return"):
        run_main(flow)


PRELUDE = """
import sys
import engine.operators as op
from engine.connectors.stdio import StdOutSink
from engine.dataflow import Dataflow
from engine.testing import TestingSource
flow = Dataflow("user")
numbers = op.input("inp", flow, TestingSource(range(100)))
"""

CASES = {
    "unpicklable item": (
        "items = op.map('make', numbers, lambda n: (str(n), lambda: n))\n"
        "op.output('out', op.stateful_map('keep', items, lambda s, v: (s, 1)), StdOutSink())\n",
        "in step 'user.keep",
        "pickle",
    ),
    "item that cannot be unpickled": (
        "class Trap:\n"
        "    def __reduce__(self):\n"
        "        return (int, ('no number',))\n"
        "items = op.map('make', numbers, lambda n: (str(n), Trap()))\n"
        "op.output('out', op.stateful_map('keep', items, lambda s, v: (s, 1)), StdOutSink())\n",
        "in step 'user.keep",
        "ValueError: invalid literal for int() with base 10: 'no number'",
    ),
    "recursion error": (
        "def forever(n):\n"
        "    return forever(n)\n"
        "op.output('out', op.map('deep', numbers, forever), StdOutSink())\n",
        "in step 'user.deep",
        "RecursionError: maximum recursion depth exceeded",
    ),
    "system exit": (
        "op.output('out', op.map('leave', numbers, lambda n: sys.exit(0)), StdOutSink())\n",
        "in step 'user.leave",
        "SystemExit: 0",
    ),
    "key that is no str": (
        "items = op.map('make', numbers, lambda n: (n, n))\n"
        "op.output('out', op.stateful_map('keep', items, lambda s, v: (s, 1)), StdOutSink())\n",
        "in step 'user.keep",
        "a key has to be a str",
    ),
    "error in a source": (
        "class Source(TestingSource):\n"
        "    def list_parts(self):\n"
        "        raise OSError('no such disk')\n"
        "more = op.input('disk', flow, Source([]))\n"
        "op.output('out', op.merge('m', numbers, more), StdOutSink())\n",
        "in step 'user.disk",
        "OSError: no such disk",
    ),
}


# A single process does not pickle items.
SHAPES = [(name, count) for name in CASES for count in "12" if count == "2" or "pickl" not in name]


@pytest.mark.parametrize(("name", "processes"), SHAPES)
def test_an_error_ends_the_processes_and_is_printed_last(
    name: str, processes: str, tmp_path: Path
) -> None:
    code, step, message = CASES[name]
    flow = tmp_path / "flow.py"
    flow.write_text(PRELUDE + code)
    words = [sys.executable, "-m", "engine.run", str(flow), "-p", processes]
    done = subprocess.run(words, capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 70, done.stderr
    cause = done.stderr[done.stderr.index("error: flow failed") :]
    assert step in cause
    assert message in cause
    assert cause.endswith("exit 70\n")
