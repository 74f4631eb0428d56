"""After which ends a process is started again, and when."""

import math
from pathlib import Path
from typing import Any, NamedTuple

from ctl.remote.errors import UNREACHABLE
from ctl.remote.root import age_s

_FIRST_PAUSE, _LONGEST_PAUSE = 0.5, 30.0
_PUT_BACK_LIMIT = 8
_PUT_BACK_SECONDS = 180.0
"""How long after a deploy was undone a process may still lose peers to that."""


class RestartPolicy(NamedTuple):
    """When a process that ended is started again.

    Args:
        codes: Exit codes after which it is.
        signals: Whether it is after a signal that nobody here has sent.
        limit: Starts again within the window, at most.
        window: Seconds.
    """

    codes: tuple[int, ...] = ()
    signals: bool = False
    limit: int = 3
    window: float = 600.0

    @classmethod
    def of(cls, spec: dict[str, Any] | None) -> "RestartPolicy":
        """What a launch says; nothing means never."""
        defaults = cls()
        if spec is None:
            return defaults
        return cls(
            tuple(spec.get("codes", ())),
            bool(spec.get("signals")),
            int(spec.get("limit", defaults.limit)),
            float(spec.get("window", defaults.window)),
        )

    def pause(self, code: int, before: list[float], now: float) -> float | None:
        """Seconds to wait before the next start, or `None` for no more.

        Args:
            code: How it ended, as `Popen.returncode` says.
            before: Times of earlier starts after an end.
            now: Time of the same clock.
        """
        if not (self.signals if code < 0 else code in self.codes):
            return None
        recent = sum(1 for each in before if now - each < self.window)
        if recent >= self.limit:
            return None
        return min(math.ldexp(_FIRST_PAUSE, min(recent, 99)), _LONGEST_PAUSE)


class Restarts:
    """The starts of one process after its ends.

    Where the operator is gone, each host undoes a switch by itself and at its own time. So what
    was put back, or was let run on, may meet what others still run, and lose those that are put
    back later.

    Args:
        folder: Of the process.
        spec: What a launch says of it.
    """

    def __init__(self, folder: Path, spec: dict[str, Any]) -> None:
        self._mark = folder / "put-back.json"
        self._policy = RestartPolicy.of(spec.get("restart"))
        lost = spec.get("lost_codes")
        # A host that was cut off may have lost its address, so that nothing can listen there.
        codes = (*lost, UNREACHABLE) if lost else ()
        self._put_back = RestartPolicy(codes, limit=_PUT_BACK_LIMIT)
        self._times: list[float] = []

    def pause(self, code: int, now: float) -> float | None:
        """Seconds to wait before the next start, or `None` for no more.

        Args:
            code: How it ended, as `Popen.returncode` says.
            now: Time of a monotonic clock.
        """
        pause = self._policy.pause(code, self._times, now)
        if pause is None and age_s(self._mark) < _PUT_BACK_SECONDS:
            return self._put_back.pause(code, self._times, now)
        return pause

    def started(self, now: float) -> None:
        """It is started again.

        Args:
            now: Time of the same clock.
        """
        self._times.append(now)
