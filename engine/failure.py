"""The record of why a run failed: sent between processes, and printed last on each.

Everything in it is bounded text, so that it can be made of any exception and sent whatever
the exception is.
"""

import importlib
import os
import time
import traceback
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

from engine.errors import (
    CannotWriteError,
    DataflowRuntimeError,
    EngineError,
    FlowLoadError,
    FlowNotFoundError,
    InterruptedRunError,
    PeerLostError,
)

MESSAGE_LIMIT = 4_096
TRACEBACK_LIMIT = 16_384
"""Characters that are kept, half of them from each end."""

_FRAME_LIMIT = 200
_YEAR_9999 = 253_370_764_800
_HIDDEN = (
    f"{Path(__file__).parent}{os.sep}",
    f"{Path(importlib.__file__).parent}{os.sep}",
    "<frozen ",
)


@dataclass(frozen=True)
class Failure:
    """Why a run failed.

    Args:
        time: When, as Unix time.
        host: Name of the host.
        process: ID of the process.
        worker: Index of the worker, if it was one.
        step: Fully qualified ID of the step, if it was in one.
        kind: Name of the exception's class.
        message: What the exception says.
        traceback: Where in the user's code it was raised; empty if that helps nobody.
        exit_code: What the process ends with.
        lost: ID of the process whose loss this is, if it is one.
    """

    time: float
    host: str
    process: int
    worker: int | None
    step: str | None
    kind: str
    message: str
    traceback: str
    exit_code: int
    lost: int | None = None

    @classmethod
    def of(cls, error: BaseException, *, process: int, worker: int | None = None) -> Self:
        """Describe an exception; this works for every exception and raises none.

        Args:
            error: What was raised; a `DataflowRuntimeError` names its own process and worker.
            process: ID of this process.
            worker: Index of the worker, if it happened in one.
        """
        culprit, step = error, None
        if isinstance(error, DataflowRuntimeError):
            process, worker, step = error.process, error.worker, error.step_id
            culprit = error if error.__cause__ is None else error.__cause__
        return cls(
            time=time.time(),
            host=os.uname().nodename,
            process=process,
            worker=worker,
            step=step,
            kind=_bounded(_kind(culprit), MESSAGE_LIMIT),
            message=_bounded(_message(culprit), MESSAGE_LIMIT),
            traceback=_bounded(_traceback(error), TRACEBACK_LIMIT),
            exit_code=_exit_code(culprit if isinstance(culprit, EngineError) else error),
            lost=error.process if isinstance(error, PeerLostError) else None,
        )

    def to_json(self) -> dict[str, Any]:
        """The fields, ready for JSON."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: object) -> Self:
        """Read what `to_json` of another process gave.

        Raises:
            ValueError: If it is anything else; the message names the field.
        """
        if not isinstance(data, dict):
            msg = f"a failure is an object, not {type(data).__name__}"
            raise ValueError(msg)  # noqa: TRY004  # whatever is wrong with the data is one error
        step = data.get("step")
        return cls(
            time=_time(data),
            host=_text(data, "host", MESSAGE_LIMIT),
            process=_integer(data, "process"),
            worker=None if data.get("worker") is None else _integer(data, "worker"),
            step=None if step is None else _text(data, "step", MESSAGE_LIMIT),
            kind=_text(data, "kind", MESSAGE_LIMIT),
            message=_text(data, "message", MESSAGE_LIMIT),
            traceback=_text(data, "traceback", TRACEBACK_LIMIT),
            exit_code=_integer(data, "exit_code", 1, 255),
            lost=None if data.get("lost") is None else _integer(data, "lost"),
        )

    def render(self) -> str:
        """The block that is printed last, without a newline at its end."""
        where = f"process {self.process} (host {self.host})"
        where = f"in {where}" if self.worker is None else f"on worker {self.worker} of {where}"
        if self.step is not None:
            where = f"in step {self.step!r} {where}"
        at = datetime.fromtimestamp(self.time, UTC).replace(tzinfo=None)
        what = f"{self.kind}: {self.message}" if self.message else self.kind
        lines = [
            f"error: flow failed {where} at {at.isoformat(' ', 'milliseconds')}Z",
            *(f"  {line}" for line in what.splitlines()),
        ]
        if self.traceback:
            lines.append(self.traceback.rstrip("\n"))
        return "\n".join([*lines, f"exit {self.exit_code}"])


def first(failures: Iterable[Failure]) -> Failure:
    """The failure that the others follow from.

    That is the earliest failure of user code, or else the earliest of all. The loss of a
    process that has reported a failure itself comes last, whatever the clocks of hosts say.

    Raises:
        ValueError: If there is none.
    """
    known = list(failures)
    if not known:
        msg = "there is no failure"
        raise ValueError(msg)
    reported = {failure.process for failure in known}

    def rank(failure: Failure) -> tuple[bool, bool, float]:
        follows = failure.lost is not None and failure.lost in reported
        return follows, failure.exit_code != DataflowRuntimeError.exit_code, failure.time

    return min(known, key=rank)


def describe(error: BaseException) -> str:
    """Kind and message of an exception in one line; this works for every exception."""
    message = " ".join(_message(error).split())
    return f"{_kind(error)}: {message}" if message else _kind(error)


def _exit_code(error: BaseException) -> int:
    if isinstance(error, KeyboardInterrupt):
        return InterruptedRunError.exit_code
    return error.exit_code if isinstance(error, EngineError) else EngineError.exit_code


def _kind(error: BaseException) -> str:
    cls = type(error)
    plain = cls.__module__ in ("builtins", "__main__") or isinstance(error, EngineError)
    return cls.__qualname__ if plain else f"{cls.__module__}.{cls.__qualname__}"


def _message(error: BaseException) -> str:
    try:
        return str(error)
    except BaseException as second:  # A __str__ may raise SystemExit as well.
        return f"<its __str__ raised {type(second).__name__}>"


def _traceback(error: BaseException) -> str:
    """The traceback that helps: the user's frames, or all of them for a bug of ours."""
    culprit, is_users = error, isinstance(error, (DataflowRuntimeError, FlowLoadError))
    if is_users and error.__cause__ is not None:
        culprit = error.__cause__
        if isinstance(culprit, (CannotWriteError, FlowNotFoundError)):
            return ""
    elif isinstance(error, EngineError) and not is_users and error.exit_code != 1:
        return ""
    try:
        # The newest frames: of a deep recursion they show the cycle.
        whole = traceback.TracebackException.from_exception(culprit, limit=-_FRAME_LIMIT)
        if is_users and not _hide_engine(whole) and culprit is error:
            return ""
        return "".join(whole.format())
    except BaseException as second:  # Attributes of an exception may raise anything.
        frames = "".join(traceback.format_tb(culprit.__traceback__, limit=-_FRAME_LIMIT))
        return f"{frames}<not all could be shown: {type(second).__name__}>\n"


def _hide_engine(whole: traceback.TracebackException) -> bool:
    """Remove frames that are not the user's where others remain; whether any remain."""
    found = False
    for each in _with_causes(whole):
        users = [frame for frame in each.stack if not frame.filename.startswith(_HIDDEN)]
        if users:
            each.stack[:] = users
            found = True
    return found


def _with_causes(
    whole: traceback.TracebackException,
) -> Iterator[traceback.TracebackException]:
    pending = [whole]
    while pending:
        each = pending.pop()
        yield each
        pending += [below for below in (each.__cause__, each.__context__) if below is not None]
        pending += each.exceptions or []


def _bounded(text: str, limit: int) -> str:
    # A lone surrogate could be neither printed nor written to a file.
    text = text.encode("utf-8", "backslashreplace").decode("utf-8")
    if len(text) <= limit:
        return text
    half = limit // 2
    return f"{text[:half]}\n… {len(text) - 2 * half} characters left out …\n{text[-half:]}"


def _text(data: dict[Any, Any], name: str, limit: int) -> str:
    value = data.get(name)
    if not isinstance(value, str):
        msg = f"{name} of a failure is a str, not {type(value).__name__}"
        raise ValueError(msg)  # noqa: TRY004  # whatever is wrong with the data is one error
    # What another process has shortened has the mark of that on top of the limit.
    return _bounded(value, 2 * limit)


def _integer(data: dict[Any, Any], name: str, low: int = 0, high: int = 2**32) -> int:
    value = data.get(name)
    if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
        msg = f"{name} of a failure is an int from {low} to {high}"
        raise ValueError(msg)
    return value


def _time(data: dict[Any, Any]) -> float:
    value: Any = data.get("time")
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    # Neither infinity nor what is not a number passes the comparison.
    if is_number and 0 <= value < _YEAR_9999:
        return float(value)
    msg = "time of a failure is Unix time"
    raise ValueError(msg)
