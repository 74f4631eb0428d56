"""What a deploy and a check say at their end."""

from collections import Counter
from dataclasses import asdict
from typing import Any

from ctl.reports import CheckReport, CheckRow, Deployed, Problem, Stopped
from ctl.status import SCHEMA
from ctl.ui.quantities import count, size
from ctl.ui.table import failures, table

_HEADINGS = ("HOST", "PYTHON", "ENGINE", "DISK FREE", "CLOCK", "OPEN FILES")


def deploy_summary(name: str, deployed: Deployed) -> str:
    """What a deploy says at its end.

    Args:
        name: Name of the deployment.
        deployed: What has come about.
    """
    places = f"{count(deployed.hosts, 'host')}, {count(deployed.processes, 'process')}"
    push = f"push {size(deployed.pushed_bytes)}" if deployed.pushed_bytes else "nothing to push"
    lines = [
        f"{name}  release {deployed.release[:6]} → {places}",
        f"  ✓ check  ✓ {push}  ✓ switch  ✓ ready",
        *failures(deployed.failed),
        f"{deployed.state.capitalize()} in {deployed.seconds:.1f} s.  Next: ctl logs -f",
    ]
    return "\n".join(lines)


def deploy_json(name: str, deployed: Deployed) -> dict[str, Any]:
    """What a deploy says to machines at its end."""
    return {"schema": SCHEMA, "deployment": name, **asdict(deployed)}


def stop_summary(name: str, stopped: Stopped) -> str:
    """What a stop says at its end.

    Args:
        name: Name of the deployment.
        stopped: What has become of its processes.
    """
    words = Counter(stopped.states.values())
    ends = ", ".join(f"{number} {state}" for state, number in sorted(words.items()))
    if set(words) <= {"stopped"}:
        return f"{name} stopped: {count(len(stopped.states), 'process')}"
    return f"{name}: {count(len(stopped.states), 'process')}: {ends}"


def check_table(report: CheckReport) -> str:
    """What a check has found on each host."""
    return table(_HEADINGS, [_row(row) for row in report.rows])


def check_verdict(name: str, report: CheckReport) -> str:
    """What a check says at its end: what is wrong, on which host, and what to do about it.

    Args:
        name: Name of the deployment.
        report: What the check has found.
    """
    hosts = count(len(report.rows), "host")
    if report.exit_code == 0:
        pairs = f"; all {len(report.reach)} addresses reached" if report.reach else ""
        return f"{name}: {hosts} ready{pairs}"
    width = max((len(row.host) for row in report.rows), default=0)
    lines = [f"error: {name} cannot be deployed"]
    for row in report.rows:
        for problem in row.problems:
            lines += _problem(f"  {row.host:<{width}}  ", problem)
    return "\n".join([*lines, f"exit {report.exit_code}; nothing was changed"])


def _row(row: CheckRow) -> tuple[str | None, ...]:
    return (
        row.host,
        row.python,
        row.engine,
        None if row.disk_free is None else size(row.disk_free),
        None if row.clock_offset_s is None else f"{row.clock_offset_s:+.2f} s",
        None if row.open_files is None else str(row.open_files),
    )


def _problem(start: str, problem: Problem) -> list[str]:
    indent = " " * len(start)
    lines = [start + problem.problem.replace("\n", f"\n{indent}")]
    if problem.fix:
        lines.append(f"{indent}fix: " + problem.fix.replace("\n", f"\n{indent}     "))
    return lines
