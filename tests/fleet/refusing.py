"""What all refusals have in common: a report that says why, and hosts that are as they were."""

import re
from collections.abc import Sequence
from functools import partial

from tests.engine.running import eventually
from tests.fleet.hosts import FleetHost, Ran


def refused(ran: Ran, code: int, **hosts: str) -> str:
    """Check how a command was refused; give the report at the end.

    Args:
        ran: The command.
        code: What it ends with.
        hosts: A pattern for what the report says of each host; it says nothing of others.
    """
    shown = f"exit code {ran.returncode}\n{ran.stdout}{ran.stderr}"
    assert ran.returncode == code, shown
    assert "Traceback" not in ran.stderr, shown
    _, found, report = ran.stderr.partition("error: ")
    assert found, shown
    named = re.findall(r"^  (\w+) +(?!fix: )\S", report, re.MULTILINE)
    assert set(named) == set(hosts), shown
    for host, pattern in hosts.items():
        assert re.search(rf"^  {host} +{pattern}", report, re.MULTILINE), shown
    if hosts:
        assert re.search(rf"^exit {code}\b", report, re.MULTILINE), shown
    return report


def untouched(hosts: Sequence[FleetHost], *others: str) -> None:
    """Check that nothing of ours runs or is left on hosts.

    Args:
        hosts: Where.
        others: Words in the commands of processes that are not ours.
    """
    for host in hosts:
        _await_end(host, others)
        left = host.attempt("find", ".hostmesh")
        assert left.returncode, f"{host.name} has kept {left.stdout}"


def kept(host: FleetHost) -> set[str]:
    """What a host has of releases: their layers, manifests and launches, and what is half made.

    What Python caches, and what processes tell of themselves, comes and goes while they run.
    """
    passing = ("(", "-name", "__pycache__", "-o", "-name", "processes", ")", "-prune")
    return set(host.run("find", ".hostmesh", *passing, "-o", "-print").splitlines())


def unlocked(hosts: Sequence[FleetHost]) -> None:
    """Check that nobody changes the deployment `flights`, once sessions have ended."""
    for host in hosts:
        eventually(partial(_is_unlocked, host), f"the lock on {host.name} is free")


def _is_unlocked(host: FleetHost) -> bool:
    lock = ".hostmesh/deployments/flights/lock"
    return host.attempt("flock", "--nonblock", lock, "true").returncode == 0


def _await_end(host: FleetHost, others: Sequence[str]) -> None:
    """Wait for the end of sessions, which end with their connection."""

    def ended() -> bool:
        words = [" ".join(process.argv) for process in host.processes()]
        return all(any(other in each for other in others) for each in words)

    eventually(ended, f"the end of all that runs on {host.name}")
