"""How an error is printed, and what of it machines get."""

from typing import Any

from ctl.errors import CtlError, HostsError
from ctl.status import SCHEMA


def render(error: CtlError) -> str:
    """An error as text: what happened, where, and what to do next."""
    if not isinstance(error, HostsError):
        fix = [_lines("  fix: ", error.fix)] if error.fix else []
        return "\n".join([_lines("error: ", error.problem), *fix])
    lines = [_lines("error: ", error.problem)]
    width = max(map(len, error.failures), default=0)
    for host, failure in error.failures.items():
        # A failure of several parts, such as one inside of another, stays one block.
        problem = failure.problem if not isinstance(failure, HostsError) else str(failure)
        lines.append(_lines(f"  {host:<{width}}  ", problem))
        if failure.fix:
            lines.append(_lines(f"  {'':<{width}}  fix: ", failure.fix))
    outcome = f"; {error.outcome}" if error.outcome else ""
    return "\n".join([*lines, f"exit {error.exit_code}{outcome}"])


def to_json(error: CtlError) -> dict[str, Any]:
    """An error for machines; each host that failed has an entry."""
    return {"schema": SCHEMA, "error": _said(error)}


def _said(error: CtlError) -> dict[str, Any]:
    said: dict[str, Any] = {
        "problem": error.problem,
        "fix": error.fix or None,
        "exit_code": error.exit_code,
    }
    if isinstance(error, HostsError):
        said["outcome"] = error.outcome or None
        said["hosts"] = [{"name": host, **_said(each)} for host, each in error.failures.items()]
    return said


def _lines(start: str, text: str) -> str:
    """A text whose later lines are indented as far as its first."""
    return (start + text.replace("\n", "\n" + " " * len(start))).rstrip()
