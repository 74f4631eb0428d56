"""Whatever happens during a deploy: each reachable host ends on the new release or on the old.

`make test` runs a few of the pairs of phase and accident, `make soak` all.
"""

import json
import os
import subprocess
import sys
from itertools import product
from pathlib import Path

import pytest

from tests.engine.running import eventually
from tests.fleet.fleets import Fleet
from tests.fleet.flows import ticking
from tests.fleet.hosts import FleetHost
from tests.fleet.site import Site

SABOTEUR = Path(__file__).with_name("saboteur.py")
POINTS = [
    (phase, host, state)
    for phase, host, state in product(
        ("connect", "push", "stage", "switch", "ready", "commit"),
        ("-", "alpha", "gamma"),
        ("started", "done"),
    )
    # A commit is one step on all hosts.
    if host == "-" or phase != "commit"
]
SOAK = bool(os.environ.get("HOSTMESH_SOAK"))
FEW = {
    "kill": [("push", "gamma", "started"), ("switch", "alpha", "done"), ("commit", "-", "started")],
    "interrupt": [("stage", "alpha", "started"), ("ready", "gamma", "started")],
    "power off": [("switch", "gamma", "started"), ("ready", "alpha", "started")],
    "cut off": [("switch", "gamma", "done")],
}
CASES = [(accident, *point) for accident in FEW for point in (POINTS if SOAK else FEW[accident])]
SECONDS = 90.0


def releases(site: Site) -> dict[str, str | None]:
    """The release of each host that answers."""
    status = json.loads(site.ctl("status", "--json").stdout)
    return {each["name"]: each["release"] for each in status["hosts"] if each["reachable"]}


def ours(host: FleetHost) -> list[str]:
    return [" ".join(each.argv) for each in host.processes() if ".hostmesh" in " ".join(each.argv)]


def is_settled(site: Site, hosts: list[FleetHost]) -> bool:
    """Whether each host runs one process, with a supervisor and its guard, and no session."""
    status = json.loads(site.ctl("status", "--json").stdout)
    if any(each["state"] not in ("running", "starting") for each in status["processes"]):
        return False
    for host in hosts:
        words = ours(host)
        engines = [each for each in words if "engine.run" in each]
        supervisors = [each for each in words if "supervisor" in each]
        if len(engines) != 1 or len(supervisors) != 2:
            return False
    return True


@pytest.mark.parametrize(("accident", "phase", "where", "state"), CASES)
def test_an_accident_during_a_deploy(
    docker_fleet: Fleet, accident: str, phase: str, where: str, state: str
) -> None:
    hosts = docker_fleet(3)
    site = docker_fleet.site()
    # Whoever is cut off is not to be taken for dead by its peers before ctl has given up.
    site.inventory(hosts, deployment={"heartbeat_timeout": 120})
    site.write("flow.py", ticking("one"))
    first = site.ctl("deploy", "inventory.toml", "flow.py")
    assert first.returncode == 0, first.stderr
    (old,) = set(releases(site).values())
    site.write("flow.py", ticking("two"))

    victim = hosts[2]
    action = accident if accident in ("kill", "interrupt") else "wait"
    deploy = subprocess.Popen(
        [sys.executable, SABOTEUR, "flow.py", phase, where, state, action],
        cwd=site.folder,
        env={**os.environ, **site.env, "PYTHONPATH": str(Path(__file__).parents[2])},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        if action == "wait":
            assert deploy.stdout is not None
            said = deploy.stdout.readline()
            assert said == "now\n", deploy.communicate()
            victim.kill() if accident == "power off" else victim.cut()
        _, complaint = deploy.communicate("\n" if action == "wait" else None, timeout=SECONDS)
    finally:
        deploy.kill()
        deploy.wait()
    assert deploy.returncode == {"kill": -9, "interrupt": 130}.get(accident, deploy.returncode)
    # A deploy that was through before the accident has not failed.
    assert "never came" not in complaint

    reachable = [host for host in hosts if host is not victim or action != "wait"]
    if accident == "cut off":
        # What is out of reach for us has to come to the same end by itself.
        victim.reconnect()
        reachable = hosts
    if accident != "power off":
        eventually(lambda: is_settled(site, reachable), "all is put right", SECONDS)
    found = releases(site)
    assert set(found) >= {host.name for host in reachable}
    if phase != "commit":
        assert set(found.values()) <= {old} or action == "wait", found
    if accident == "power off":
        victim.start()
        assert not ours(victim), "a host that returns starts nothing"

    site.write("flow.py", ticking("three"))

    def deploys() -> bool:
        again = site.ctl("deploy", "inventory.toml", "flow.py")
        # A host that was cut off finds that out after some silence, and is locked until then.
        assert again.returncode in (0, 75), again.stderr
        return again.returncode == 0

    eventually(deploys, "the lock is free", SECONDS)
    eventually(lambda: is_settled(site, hosts), "the next deploy has mended all", SECONDS)
    (new,) = set(releases(site).values())
    assert new != old
