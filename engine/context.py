"""What the parts of one worker share."""

from collections.abc import Callable
from datetime import datetime
from typing import NoReturn

from engine import logs
from engine.chunks import user_error
from engine.errors import DataflowRuntimeError
from engine.failure import describe


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

    def enter(self) -> None:
        """Say in the logs of the current thread that it is this worker."""
        self.log.worker = self.index

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
