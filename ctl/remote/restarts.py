"""After which ends a process is started again, and when."""

import math
from typing import Any, NamedTuple

_FIRST_PAUSE, _LONGEST_PAUSE = 0.5, 30.0


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
