"""Tables of plain text."""

import textwrap
from collections.abc import Iterable, Sequence

from ctl.status import DeploymentStatus, HostStatus, ProcessStatus
from ctl.ui.quantities import count, duration

UNKNOWN = "\N{EN DASH}"

_HEADINGS = ("ID", "HOST", "ADDRESS", "STATE", "UP", "RESTARTS")


def table(headings: Sequence[str], rows: Sequence[Sequence[str | None]]) -> str:
    """Align rows under their headings; None becomes a dash."""
    lines = [headings, *[[UNKNOWN if cell is None else cell for cell in row] for row in rows]]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join(
        "  ".join(f"{cell:<{width}}" for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in lines
    )


def status_table(status: DeploymentStatus) -> str:
    """A status as text: a line for the whole, a table, and what has to be said of it."""
    detail = f" ({status.detail})" if status.detail else ""
    release = f"  release {status.release[:6]}" if status.release else ""
    lines = [f"{status.deployment}  {status.state}{detail}{release}"]
    if status.processes:
        lines.append(_processes(status.processes))
    lines += [_about(host, status) for host in status.hosts if host.error or not host.reachable]
    lines += failures(status.failed)
    return "\n".join(lines)


def _processes(processes: Sequence[ProcessStatus]) -> str:
    rows = [_row(process) for process in processes]
    if all(process.lag_s is None for process in processes):
        return table(_HEADINGS, rows)
    lags = [None if each.lag_s is None else f"{each.lag_s:.1f} s" for each in processes]
    return table((*_HEADINGS, "LAG"), [(*row, lag) for row, lag in zip(rows, lags, strict=True)])


def _row(process: ProcessStatus) -> tuple[str | None, ...]:
    return (
        str(process.id),
        process.host,
        process.address,
        process.state,
        None if process.uptime_s is None else duration(process.uptime_s),
        None if process.restarts is None else str(process.restarts),
    )


def _about(host: HostStatus, status: DeploymentStatus) -> str:
    said = f"{host.name}: {host.error or 'no answer'}"
    places = sum(process.host == host.name for process in status.processes)
    if host.reachable or not places:
        return said
    whose = "its process" if places == 1 else f"its {count(places, 'process')}"
    return f"{said}; {whose} may be running"


def failures(processes: Iterable[ProcessStatus]) -> list[str]:
    """How processes have failed, and why: a traceback stands below that, but each only once."""
    told: dict[str, int] = {}
    lines = []
    for process in processes:
        why = process.last_error or ""
        if "\n" in why and told.setdefault(why, process.id) != process.id:
            why = f"as process {told[why]}"
        lines.append(_failure(process, why))
    return lines


def _failure(process: ProcessStatus, why: str) -> str:
    how = ""
    if process.exit_code is not None:
        how = f"signal {-process.exit_code}" if process.exit_code < 0 else ""
        how = how or f"exit {process.exit_code}"
    who = ": ".join(filter(None, (f"process {process.id} ({process.host}) failed", how)))
    if "\n" in why:
        return f"{who}\n{textwrap.indent(why, '    ')}"
    return ": ".join(filter(None, (who, why)))
