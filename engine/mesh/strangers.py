"""Log what comes from outside of the cluster, and never more than a reader can bear."""

import logging
import math

_LINES_PER_SECOND = 10

_log = logging.getLogger("engine.mesh")


class StrangerLog:
    """A line for each connection that is turned away, up to 10 in a second, then their number."""

    def __init__(self) -> None:
        self._second_ends = -math.inf
        self._lines = 0
        self._suppressed = 0

    def write(self, line: str, now: float) -> None:
        """Log a line, or count it."""
        self.tick(now)
        if now >= self._second_ends:
            self._second_ends = now + 1
            self._lines = 0
        self._lines += 1
        if self._lines > _LINES_PER_SECOND:
            self._suppressed += 1
        else:
            _log.warning("%s", line)

    def tick(self, now: float) -> None:
        """Log how many lines were left out, once their second is over."""
        if self._suppressed and now >= self._second_ends:
            noun = "connection was" if self._suppressed == 1 else "connections were"
            _log.warning("%d more %s turned away", self._suppressed, noun)
            self._suppressed = 0

    def next_tick(self) -> float:
        """When `tick` has something to do; infinity if never."""
        return self._second_ends if self._suppressed else math.inf
