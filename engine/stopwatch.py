"""Say what an ordered stop waits for, while it takes long."""

import logging

from engine.threads import BusyWorker

_FIRST_SECONDS = 2.0
_AGAIN_SECONDS = 10.0

_log = logging.getLogger("engine.process")


class Stopwatch:
    """Knows when to say what a stop waits for.

    Attributes:
        due: When to look next, in monotonic seconds, once a stop was asked for.
        patience: Seconds after which a step is worth to be named.
    """

    patience = _FIRST_SECONDS

    def __init__(self) -> None:
        self.due: float | None = None

    def begin(self, now: float) -> None:
        """A stop was asked for, here or elsewhere."""
        if self.due is None:
            self.due = now + _FIRST_SECONDS

    def look(self, now: float, busy: list[BusyWorker]) -> None:
        """Say what it waits for here; no worker that is busy means, for others."""
        self.due = now + _AGAIN_SECONDS
        for each in busy:
            _log.warning(
                "the stop waits for step %r on worker %d, which has not come back for %.0f s; "
                "a second signal ends this process at once",
                each.step_id,
                each.worker,
                each.seconds,
            )
        if not busy:
            _log.info("the stop waits until what was read is worked off, here or elsewhere")
