"""What commands report besides status and logs: values without behaviour."""

from collections.abc import Mapping
from dataclasses import dataclass

from ctl.status import DeploymentState, ProcessState, ProcessStatus


@dataclass(frozen=True)
class Problem:
    """Why a host will not do.

    Args:
        problem: What is wrong, as a sentence without a full stop.
        fix: What to do about it, as a clause; empty if nobody can say.
        exit_code: What a command ends with because of it.
    """

    problem: str
    fix: str
    exit_code: int


@dataclass(frozen=True)
class CheckRow:
    """What a check has found on a host; None stands for what is not known.

    Args:
        host: Name of the host.
        python: Version of its Python.
        engine: Version of the engine that it has or will get.
        disk_free: Free bytes under the root.
        clock_offset_s: Seconds that its clock is ahead of ours.
        open_files: How many files a process may open.
        problems: All that is wrong with it, and with its way to others.
    """

    host: str
    python: str | None = None
    engine: str | None = None
    disk_free: int | None = None
    clock_offset_s: float | None = None
    open_files: int | None = None
    problems: tuple[Problem, ...] = ()


@dataclass(frozen=True)
class Reach:
    """Whether one host can dial another.

    Args:
        from_host: Name of the host that dials.
        to_host: Name of the host that listens.
        address: Where, `host:port`.
        problem: Why not, such as `timed out; a firewall may drop it`; None if it can.
    """

    from_host: str
    to_host: str
    address: str
    problem: str | None = None


@dataclass(frozen=True)
class CheckReport:
    """What a check has found.

    Args:
        rows: A row for each host, in inventory order.
        reach: One entry for each host and each address of another.
        exit_code: 0 if a deploy may begin.
    """

    rows: tuple[CheckRow, ...]
    reach: tuple[Reach, ...]
    exit_code: int


@dataclass(frozen=True)
class Deployed:
    """What a deploy has brought about.

    Args:
        release: The release that now runs, 64 hexadecimal digits.
        hosts: How many hosts it runs on.
        processes: How many processes it runs in.
        pushed_bytes: What hosts lacked and were sent.
        seconds: How long it took.
        state: What the deployment is doing.
        failed: Processes that were ready, and failed soon after.
        exit_code: What `ctl deploy` ends with.
    """

    release: str
    hosts: int
    processes: int
    pushed_bytes: int
    seconds: float
    state: DeploymentState
    failed: tuple[ProcessStatus, ...] = ()
    exit_code: int = 0


@dataclass(frozen=True)
class Stopped:
    """What a stop has brought about.

    Args:
        states: What has become of each process, by its id.
        exit_code: 0 if all have stopped in order.
    """

    states: Mapping[int, ProcessState]
    exit_code: int


@dataclass(frozen=True)
class PrunedLayer:
    """A layer that nobody uses.

    Args:
        digest: Its name.
        kind: What it was for.
        bytes: What its files take.
    """

    digest: str
    kind: str
    bytes: int


@dataclass(frozen=True)
class PrunedHost:
    """What was removed from a host.

    Args:
        host: Name of the host.
        layers: Layers that nobody uses.
        releases: How many releases.
    """

    host: str
    layers: tuple[PrunedLayer, ...]
    releases: int


@dataclass(frozen=True)
class Pruned:
    """What a prune has removed, or would have.

    Args:
        hosts: In inventory order.
        dry_run: Whether nothing was removed.
    """

    hosts: tuple[PrunedHost, ...]
    dry_run: bool
