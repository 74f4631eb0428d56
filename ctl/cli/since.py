"""Points in time on the command line."""

import re
from datetime import UTC, datetime, timedelta

from ctl.errors import UsageError

_SPAN = re.compile(r"(\d{1,9})([smhd])")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


def parse_since(text: str, now: datetime) -> datetime:
    """Read a point in time; one without a zone is local.

    Args:
        text: How long ago, such as `10m`, `2h` or `3d`, or an ISO time.
        now: The time that it is.

    Raises:
        UsageError: If it is neither.
    """
    try:
        if span := _SPAN.fullmatch(text):
            return now - timedelta(**{_UNITS[span[2]]: int(span[1])})
        return datetime.fromisoformat(text).astimezone(UTC)
    except (ValueError, OverflowError):
        problem = f"--since {text!r} is no point in time"
        raise UsageError(problem, "say how long ago, such as 10m or 2h, or an ISO time") from None
