import dataclasses
import json
import re
import sys
import threading
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.dataflow import Dataflow
from engine.errors import (
    ConfigurationError,
    DataflowError,
    DataflowRuntimeError,
    EngineError,
    FlowLoadError,
    HelloMismatchError,
    InterruptedRunError,
    PeerLostError,
    PeerUnavailableError,
)
from engine.failure import MESSAGE_LIMIT, TRACEBACK_LIMIT, Failure, describe, first
from engine.messages import Channel, Encoded
from engine.settings import Address


class BadRowError(Exception):
    pass


def parse(row):
    """Stands for user code."""
    message = f"bad row {row}"
    raise ValueError(message)


def in_step(user_code, *args) -> DataflowRuntimeError:
    """The error that a worker makes of what user code raises."""
    try:
        try:
            user_code(*args)
        except BaseException as error:
            step = "flights.parse"
            raise DataflowRuntimeError(step, 1, 1, "raised an exception") from error
    except DataflowRuntimeError as error:
        return error
    return pytest.fail("user code did not fail")


def raising(error):
    def user_code():
        raise error

    return user_code


def failure(**changes) -> Failure:
    fields = {
        "time": 1_795_342_272.123,
        "host": "alpha",
        "process": 1,
        "worker": 1,
        "step": "flights.parse",
        "kind": "ValueError",
        "message": "bad row 17",
        "traceback": "",
        "exit_code": 70,
    }
    return Failure(**{**fields, **changes})


def test_failure_of_user_code_says_where_and_what():
    made = Failure.of(in_step(parse, 17), process=0)
    assert (made.process, made.worker, made.step) == (1, 1, "flights.parse")
    assert (made.kind, made.message, made.exit_code) == ("ValueError", "bad row 17", 70)
    assert made.host
    assert made.time > 0
    assert "raise ValueError(message)" in made.traceback
    assert "in parse" in made.traceback


def test_kind_of_a_users_exception_has_its_module():
    made = Failure.of(in_step(raising(BadRowError("x"))), process=0)
    assert made.kind == f"{__name__}.BadRowError"


def test_frames_of_the_engine_are_left_out_of_a_users_traceback():
    program = compile(
        "def run(f):\n    f(17)\n", DataflowRuntimeError.__init__.__code__.co_filename, "exec"
    )
    engine: dict[str, Any] = {}
    exec(program, engine)
    made = Failure.of(in_step(engine["run"], parse), process=0)
    assert "errors.py" not in made.traceback
    assert "in parse" in made.traceback


def test_frames_of_the_engine_are_left_out_of_causes_and_groups():
    def user_code():
        try:
            Address.parse("nonsense")
        except ConfigurationError as error:
            message = "many"
            raise ExceptionGroup(message, [error, BadRowError("inner")]) from error

    made = Failure.of(in_step(user_code), process=0)
    assert made.kind == "ExceptionGroup"
    assert made.traceback.count('Address.parse("nonsense")') == 2
    assert "BadRowError: inner" in made.traceback
    assert "settings.py" not in made.traceback


def test_frames_of_the_engine_stay_if_there_are_no_others():
    error = DataflowRuntimeError("flow.inp", 0, 0, "")
    with pytest.raises(ConfigurationError) as caught:
        Address.parse("nonsense")
    assert caught.tb.tb_next
    error.__cause__ = caught.value.with_traceback(caught.tb.tb_next)
    assert "settings.py" in Failure.of(error, process=0).traceback


def test_bug_of_the_engine_keeps_all_frames():
    try:
        Encoded.dump(Channel(0, 0, 0), [threading.Lock()])
    except TypeError as error:
        made = Failure.of(error, process=2, worker=5)
    assert (made.process, made.worker, made.step, made.exit_code) == (2, 5, None, 1)
    assert "messages.py" in made.traceback


@pytest.mark.parametrize(
    "error",
    [
        PeerLostError(1, "a:9000", "connection closed"),
        PeerUnavailableError("nobody came"),
        HelloMismatchError(["workers differ"]),
        ConfigurationError("no"),
        InterruptedRunError("SIGINT"),
    ],
)
def test_expected_error_is_told_without_a_traceback(error):
    try:
        raise error from OSError("detail")
    except EngineError as raised:
        made = Failure.of(raised, process=0)
    assert (made.kind, made.message) == (type(error).__name__, str(error))
    assert made.exit_code == error.exit_code
    assert made.traceback == ""


def test_lost_peer_is_named():
    assert Failure.of(PeerLostError(3, "a:1", "x"), process=0).lost == 3
    assert Failure.of(in_step(parse, 1), process=0).lost is None


def test_flow_that_cannot_be_loaded_shows_the_users_lines():
    try:
        try:
            parse(1)
        except ValueError as cause:
            message = "flow.py cannot be loaded"
            raise FlowLoadError(message) from cause
    except FlowLoadError as error:
        made = Failure.of(error, process=0)
    assert (made.kind, made.message) == ("FlowLoadError", "flow.py cannot be loaded")
    assert "in parse" in made.traceback
    assert made.exit_code == 65


def test_malformed_flow_shows_the_line_that_built_it():
    try:
        Dataflow("a.b")
    except DataflowError as error:
        made = Failure.of(error, process=0)
    assert 'Dataflow("a.b")' in made.traceback
    assert "dataflow.py" not in made.traceback


def test_runtime_error_without_a_cause_has_the_problem_as_its_message():
    made = Failure.of(DataflowRuntimeError("flow.key", 0, 0, "the key is no str"), process=0)
    assert "the key is no str" in made.message
    assert made.traceback == ""


@pytest.mark.parametrize(
    "error", [StopIteration(3), SystemExit(0), KeyboardInterrupt(), GeneratorExit(), MemoryError()]
)
def test_user_code_fails_by_any_exception(error):
    made = Failure.of(in_step(raising(error)), process=0)
    assert made.kind == type(error).__name__
    assert made.exit_code == 70
    assert made.render().endswith("exit 70")


@pytest.mark.parametrize(
    ("error", "code"), [(SystemExit(0), 1), (KeyboardInterrupt(), 130), (StopIteration(), 1)]
)
def test_bare_exception_never_means_success(error, code):
    assert Failure.of(error, process=0).exit_code == code


class HostileError(Exception):
    def __str__(self):
        raise SystemExit

    __repr__ = __str__

    def __getattr__(self, name):
        raise RuntimeError(name)

    def __bool__(self):
        raise RuntimeError

    def __reduce__(self):
        raise TypeError


def test_hostile_exception_is_still_described():
    made = Failure.of(in_step(raising(HostileError())), process=0)
    assert made.kind.endswith("HostileError")
    assert made.message == "<its __str__ raised SystemExit>"
    assert "in user_code" in made.traceback
    assert made.render()


def test_hostile_bare_exception_is_still_described():
    assert Failure.of(HostileError(), process=0).render()


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (ValueError("bad\n  row"), "ValueError: bad row"),
        (KeyboardInterrupt(), "KeyboardInterrupt"),
    ],
)
def test_exception_is_described_in_one_line(error, line):
    assert describe(error) == line


def test_hostile_exception_is_described_in_one_line():
    line = f"{__name__}.HostileError: <its __str__ raised SystemExit>"
    assert describe(HostileError()) == line


def test_recursion_error_is_short_and_shows_the_cycle():
    def ping(n):
        return pong(n + 1)

    def pong(n):
        return ping(n + 1)

    made = Failure.of(in_step(ping, 0), process=0)
    assert made.kind == "RecursionError"
    assert len(made.traceback) < TRACEBACK_LIMIT + 100
    assert "in ping" in made.traceback
    assert "in pong" in made.traceback
    assert "characters left out" in made.traceback


def test_deep_recursion_takes_no_memory_with_it():
    def down(n):
        return down(n + 1)

    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(20_000)
    try:
        error = in_step(down, 0)
    finally:
        sys.setrecursionlimit(limit)
    made = Failure.of(error, process=0)
    assert "Previous line repeated" in made.traceback
    assert len(made.traceback) < 2_000


def test_long_chain_of_causes_is_bounded():
    error = ValueError("0")
    for number in range(300):
        outer = ValueError(str(number))
        outer.__context__ = error
        error = outer
    made = Failure.of(in_step(raising(error)), process=0)
    assert len(made.traceback) < TRACEBACK_LIMIT + 100


def test_cycle_of_causes_ends():
    one, other = ValueError("one"), ValueError("other")
    one.__cause__, other.__cause__ = other, one
    made = Failure.of(in_step(raising(one)), process=0)
    assert "ValueError: other" in made.traceback


def test_long_message_keeps_both_ends():
    made = Failure.of(in_step(raising(ValueError("<" + "x" * 10_000_000 + ">"))), process=0)
    assert made.message.startswith("<x")
    assert made.message.endswith("x>")
    assert len(made.message) < MESSAGE_LIMIT + 100
    assert len(json.dumps(made.to_json())) < 2 * (MESSAGE_LIMIT + TRACEBACK_LIMIT)


def test_lone_surrogates_can_be_printed():
    made = Failure.of(in_step(raising(ValueError("\udcff"))), process=0)
    assert made.message == "\\udcff"
    assert made.render().encode()


def test_failure_crosses_the_network_unchanged():
    made = Failure.of(in_step(raising(ValueError("\udcff" * 9_999))), process=0)
    assert Failure.from_json(json.loads(json.dumps(made.to_json()))) == made


@given(
    st.builds(
        Failure,
        time=st.floats(0, 1e10),
        host=st.text(st.characters(codec="utf-8")),
        process=st.integers(0, 1000),
        worker=st.none() | st.integers(0, 1000),
        step=st.none() | st.text(st.characters(codec="utf-8")),
        kind=st.text(st.characters(codec="utf-8")),
        message=st.text(st.characters(codec="utf-8")),
        traceback=st.text(st.characters(codec="utf-8")),
        exit_code=st.integers(1, 255),
        lost=st.none() | st.integers(0, 1000),
    )
)
def test_any_failure_crosses_the_network_and_renders(made):
    assert Failure.from_json(json.loads(json.dumps(made.to_json()))) == made
    assert made.render().endswith(f"\nexit {made.exit_code}")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *[("time", value) for value in (None, "1", float("nan"), float("inf"), -1, 1e300, True)],
        pytest.param("time", 10**400, id="time-huge"),
        *[("host", value) for value in (None, 3, b"x", ["x"])],
        *[("process", value) for value in (None, -1, "1", 1.0, True, 2**64)],
        *[("worker", value) for value in (-1, "1", False)],
        ("step", 3),
        *[("exit_code", value) for value in (None, 0, 256, -9, "70", True)],
        ("lost", "1"),
        ("message", None),
        ("traceback", {}),
        ("kind", 0),
    ],
)
def test_what_is_no_failure_is_refused_by_the_name_of_its_field(name, value):
    data = {**failure().to_json(), name: value}
    with pytest.raises(ValueError, match=rf"^{name} of a failure is"):
        Failure.from_json(data)


@pytest.mark.parametrize("data", [None, [], "x", 3])
def test_what_is_no_object_is_refused(data):
    with pytest.raises(ValueError, match="a failure is an object"):
        Failure.from_json(data)


@pytest.mark.parametrize("name", ["time", "host", "process", "kind", "message", "exit_code"])
def test_missing_field_is_refused(name):
    data = failure().to_json()
    del data[name]
    with pytest.raises(ValueError, match=name):
        Failure.from_json(data)


def test_text_from_the_network_is_bounded():
    data = {**failure().to_json(), "message": "x" * 1_000_000, "traceback": "y" * 1_000_000}
    made = Failure.from_json(data)
    assert len(made.message) + len(made.traceback) < 3 * (MESSAGE_LIMIT + TRACEBACK_LIMIT)


def test_block_that_is_printed_last():
    lines = "Traceback (most recent call last):\n  File …\nValueError: bad row 17\n"
    assert failure(traceback=lines).render() == (
        "error: flow failed in step 'flights.parse' on worker 1 of process 1 (host alpha) "
        "at 2026-11-22 10:11:12.123Z\n"
        "  ValueError: bad row 17\n"
        "Traceback (most recent call last):\n"
        "  File …\n"
        "ValueError: bad row 17\n"
        "exit 70"
    )


def test_block_without_step_and_worker():
    made = failure(
        step=None, worker=None, kind="PeerLostError", message="lost\nprocess 0", exit_code=74
    )
    assert made.render() == (
        "error: flow failed in process 1 (host alpha) at 2026-11-22 10:11:12.123Z\n"
        "  PeerLostError: lost\n"
        "  process 0\n"
        "exit 74"
    )


def test_block_of_an_exception_that_says_nothing():
    assert "\n  KeyboardInterrupt\n" in failure(kind="KeyboardInterrupt", message="").render()


def test_first_is_the_earliest_failure_of_user_code():
    early, late = failure(time=10.0), failure(time=20.0, process=0)
    assert first([late, early]) is early


def test_loss_of_a_process_that_failed_itself_never_wins():
    cause = failure(time=100.0, process=1, kind="MemoryError", exit_code=1)
    loss = failure(time=1.0, process=0, exit_code=74, lost=1)
    assert first([loss, cause]) is cause


def test_user_code_wins_over_a_loss_whatever_the_clocks_say():
    cause = failure(time=100.0, process=1)
    losses = [failure(time=float(n), process=n, exit_code=74, lost=1) for n in (0, 2, 3)]
    assert first([*losses, cause]) is cause


def test_loss_of_a_silent_process_wins_over_losses_that_follow():
    cause = failure(time=5.0, process=1, exit_code=74, lost=2)
    follows = failure(time=4.0, process=0, exit_code=74, lost=1)
    assert first([follows, cause]) is cause


def test_of_two_that_lost_each_other_the_earlier_wins():
    one = failure(time=5.0, process=1, exit_code=74, lost=0)
    other = failure(time=6.0, process=0, exit_code=74, lost=1)
    assert first([other, one]) is one


def test_first_of_nothing_is_an_error():
    with pytest.raises(ValueError, match="no failure"):
        first([])


def test_failure_is_frozen():
    with pytest.raises(dataclasses.FrozenInstanceError):
        failure().time = 0.0  # type: ignore[misc]  # it is what must fail


def test_time_is_now():
    assert re.search(
        r" at \d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3}Z\n", Failure.of(OSError(), process=0).render()
    )
