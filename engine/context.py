"""What the parts of one worker share."""

import threading
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, NoReturn

from engine import logs
from engine.chunks import user_error
from engine.errors import DataflowRuntimeError
from engine.failure import describe


def utc_now() -> datetime:
    """The system's time."""
    return datetime.now(UTC)


class _Clock(threading.local):
    """The clock of the worker whose thread this is."""

    now: Callable[[], datetime] = staticmethod(utc_now)


_clock = _Clock()


def worker_now() -> datetime:
    """The time by the clock of the worker whose thread this is."""
    return _clock.now()


class WorkerContext:
    """What the parts of one worker share.

    Args:
        index: Index of the worker in the cluster.
        count: Workers in the cluster.
        process: ID of its process.
        epoch: First epoch.
        now: Clock, with time zone.
    """

    def __init__(
        self, index: int, count: int, process: int, epoch: int, now: Callable[[], datetime]
    ) -> None:
        self.index = index
        self.count = count
        self.process = process
        self.epoch = epoch
        self.now = now
        self.log = logs.context
        self._place: Mapping[str, Any] = {}

    def enter(self) -> None:
        """Make the current thread that of this worker, for logs and for who asks for the time."""
        self.log.worker = self.index
        self._place = self.log.place()
        _clock.now = self.now

    @property
    def step(self) -> str | None:
        """The step that is running, or was last; callable from any thread."""
        step: str | None = self._place.get("step")
        return step

    def fail(self, step_id: str, error: BaseException) -> NoReturn:
        """Raise what user code raised in a step as an error that names the step.

        Raises:
            DataflowRuntimeError: With the user's exception as its `__cause__`.
        """
        if isinstance(error, DataflowRuntimeError):
            raise error
        cause = user_error(error)
        problem = describe(cause)
        raise DataflowRuntimeError(step_id, self.index, self.process, problem) from cause
