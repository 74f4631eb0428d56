"""What is known about a deployment: values, the state they add up to, and the exit code."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

ProcessState = Literal["starting", "running", "finished", "failed", "stopped", "unknown"]
DeploymentState = Literal[
    "starting", "running", "finished", "degraded", "failed", "stopped", "unknown"
]

SCHEMA = 1
"""Version of the JSON; it rises when a key changes its meaning or goes."""

CUT_OFF = "deploy cut off"

_NOT_THERE = 69
_LOST = 74


@dataclass(frozen=True)
class ProcessStatus:
    """One process; None stands for what is not known.

    Args:
        id: Its process id, which counts along the address list.
        host: Name of its host.
        address: Where its peers dial it, `host:port`.
        state: What it is doing.
        pid: Its number on the host.
        uptime_s: Seconds since its start.
        restarts: How often its supervisor has restarted it.
        exit_code: What it ended with; negative for a signal.
        workers: Worker threads in it.
        items_in: Items that its sources have read.
        items_out: Items that its sinks have written.
        lag_s: Seconds that what it has written is behind what it has read, if its engine says so.
        last_error: Why it failed last; a traceback has several lines.
    """

    id: int
    host: str
    address: str
    state: ProcessState
    pid: int | None = None
    uptime_s: float | None = None
    restarts: int | None = None
    exit_code: int | None = None
    workers: int | None = None
    items_in: int | None = None
    items_out: int | None = None
    lag_s: float | None = None
    last_error: str | None = None


@dataclass(frozen=True)
class HostStatus:
    """One host.

    Args:
        name: Its name in the inventory.
        reachable: Whether it has answered.
        error: What went wrong there, as a clause.
        release: The release that is current there.
        clock_offset_s: Seconds that its clock is ahead of ours.
    """

    name: str
    reachable: bool
    error: str | None = None
    release: str | None = None
    clock_offset_s: float | None = None


@dataclass(frozen=True)
class DeploymentStatus:
    """A deployment; `DeploymentStatus.of` works out its state.

    Args:
        deployment: Its name.
        release: The release that is current, on the first host that has one.
        state: What the hosts and processes add up to.
        hosts: Its hosts, in inventory order.
        processes: Its processes, in the order of their ids.
        detail: Why the state is what it is, where the hosts and processes do not show it.
    """

    deployment: str
    release: str | None
    state: DeploymentState
    hosts: tuple[HostStatus, ...]
    processes: tuple[ProcessStatus, ...]
    detail: str | None = None

    @classmethod
    def of(
        cls,
        deployment: str,
        hosts: Sequence[HostStatus],
        processes: Sequence[ProcessStatus],
        *,
        cut_off: bool = False,
    ) -> "DeploymentStatus":
        """Sum up what hosts have said; the arguments are those of `deployment_state`."""
        state, detail = deployment_state(hosts, processes, cut_off=cut_off)
        release = next((host.release for host in hosts if host.release), None)
        ordered = tuple(sorted(processes, key=lambda process: process.id))
        return cls(deployment, release, state, tuple(hosts), ordered, detail)

    @property
    def exit_code(self) -> int:
        """What `ctl status` ends with."""
        if self.state == "unknown":
            return _NOT_THERE
        if self.state == "degraded":
            return _LOST if all(host.reachable for host in self.hosts) else _NOT_THERE
        if self.state == "failed":
            # Who has lost a peer has failed because that one had.
            first = next((p for p in self.failed if p.exit_code != _LOST), self.failed[0])
            # One that a signal has killed has no exit code of its own.
            return first.exit_code if first.exit_code and first.exit_code > 0 else _LOST
        return 0

    @property
    def failed(self) -> tuple[ProcessStatus, ...]:
        """The processes that ended with an error."""
        return tuple(each for each in self.processes if each.state == "failed")

    def to_json(self) -> dict[str, Any]:
        """The status for machines; `docs/ctl.md` describes it."""
        return {
            "schema": SCHEMA,
            "deployment": self.deployment,
            "release": self.release,
            "state": self.state,
            "hosts": [asdict(host) for host in self.hosts],
            "processes": [asdict(process) for process in self.processes],
        }


def deployment_state(
    hosts: Sequence[HostStatus], processes: Sequence[ProcessStatus], *, cut_off: bool = False
) -> tuple[DeploymentState, str | None]:
    """What hosts and processes add up to, and why if they do not show it.

    Args:
        hosts: All hosts of the inventory.
        processes: Their processes; those of a silent host are `unknown`.
        cut_off: Whether a host says that a deploy was not brought to its end.
    """
    answers = [host for host in hosts if host.reachable]
    if hosts and not answers:
        return "unknown", None
    if cut_off or len({host.release for host in answers}) > 1:
        return "degraded", CUT_OFF
    if len(answers) < len(hosts):
        return "degraded", None
    return _sum({process.state for process in processes}), None


def _sum(states: set[ProcessState]) -> DeploymentState:
    if not states:
        return "stopped"
    if len(states) == 1:
        return next(iter(states))
    if "unknown" in states:
        return "degraded"
    if states & {"starting", "running"}:
        if states & {"failed", "stopped"}:
            return "degraded"
        # Processes finish one after another: until the last has, the whole still runs.
        return "starting" if "starting" in states else "running"
    return "failed" if "failed" in states else "stopped"
