"""Whatever happens during a deploy: each reachable host ends on the new release or on the old.

`make test` has each accident happen once in each phase, `make soak` at each point of each phase.
"""

import json
import os
import re
import shutil
from itertools import product
from typing import Any, NamedTuple

import pytest

from tests.engine.running import eventually
from tests.fleet.deploying import ROOT, Deploying, deploying
from tests.fleet.fleets import Fleet
from tests.fleet.flows import ticking
from tests.fleet.hosts import FleetHost
from tests.fleet.site import Site
from tests.fleet.starting import in_parallel

PHASES = ("connect", "check", "push", "stage", "switch", "ready", "commit")
# These are one step on all hosts.
WHOLE = ("check", "commit")
VICTIMS = {
    "kill": ("ctl",),
    "interrupt": ("ctl",),
    "lose network": ("ctl",),
    # The host that is locked first, and one of the others.
    "power off": ("alpha", "gamma"),
    "cut off": ("alpha", "gamma"),
}
SOAK = bool(os.environ.get("HOSTMESH_SOAK"))
SILENCES = {
    "remote/conversation.py": ("\nSILENCE_SECONDS = 20.0\n", "\nSILENCE_SECONDS = 8.0\n"),
    "transport/session.py": ("\n_SILENCE_SECONDS = 15.0\n", "\n_SILENCE_SECONDS = 6.0\n"),
}
UNDONE = re.compile(r"error: interrupted; (nothing was changed|release \w{6} still runs)")
DONE = re.compile(r"error: interrupted; release \w{6} runs\n")
ENDS_CONNECTIONS = ("kill", "interrupt")
AT_ONCE = 15.0
"""Seconds for what hosts do as soon as a connection ends; less than they bear silence."""

SECONDS = 60.0


class Case(NamedTuple):
    """An accident that befalls `victim` where `phase` has `state` on a host, or on all (`-`)."""

    accident: str
    victim: str
    phase: str
    where: str
    state: str

    @property
    def spares_others(self) -> bool:
        """Whether ctl goes on with other hosts."""
        return self.victim != "ctl"

    @property
    def commits(self) -> bool | None:
        """Whether the new release comes to count, on hosts that `ctl` reaches; None if it may."""
        if self.phase == "commit":
            return self.state == "done" or self.spares_others
        if self.phase != "ready" or not self.spares_others:
            return False
        # Whoever has said that it is ready is not asked again.
        return self.state == "done" if self.where in ("-", self.victim) else None

    @property
    def is_over(self) -> bool:
        """Whether the deploy was through before."""
        return (self.phase, self.state) == ("commit", "done")


def points(phase: str) -> list[tuple[str, str]]:
    return list(product(("-",) if phase in WHOLE else ("-", "alpha", "gamma"), ("started", "done")))


def every_case() -> list[Case]:
    return [
        Case(accident, victim, phase, *point)
        for accident, victims in VICTIMS.items()
        for victim, phase in product(victims, PHASES)
        for point in points(phase)
    ]


def few_cases() -> list[Case]:
    """One for each accident and phase, which have all points and victims between them."""
    cases = []
    for row, (accident, victims) in enumerate(VICTIMS.items()):
        for column, phase in enumerate(PHASES):
            choice = points(phase)
            victim = victims[(row + column // 2) % len(victims)]
            cases.append(Case(accident, victim, phase, *choice[(row + column) % len(choice)]))
    return cases


CASES = every_case() if SOAK else few_cases()


def impatient(site: Site) -> None:
    """Have an operator, and sessions, that bear less silence; `make soak` waits as everybody."""
    copy = site.folder.parent / "impatient"
    for package in ("ctl", "engine"):
        shutil.copytree(ROOT / package, copy / package)
    for name, (old, new) in SILENCES.items():
        file = copy / "ctl" / name
        text = file.read_text()
        assert text.count(old) == 1, f"{name} has no {old}"
        file.write_text(text.replace(old, new))
    site.env["PYTHONPATH"] = str(copy)


def status_of(site: Site) -> dict[str, Any]:
    status: dict[str, Any] = json.loads(site.ctl("status", "--json").stdout)
    return status


def releases(site: Site) -> dict[str, str | None]:
    """The release of each host that answers."""
    hosts = status_of(site)["hosts"]
    return {each["name"]: each["release"] for each in hosts if each["reachable"]}


def deployed(site: Site, mark: str) -> str:
    """Deploy a flow; give its release."""
    site.write("flow.py", ticking(mark))
    ran = site.ctl("deploy", "inventory.toml", "flow.py", "--json")
    assert ran.returncode == 0, ran.stderr
    release: str = json.loads(ran.stdout)["release"]
    return release


UNLOCKED = """\
cd .hostmesh && test ! -e lock && cd deployments/flights && test ! -e switching.json &&
flock --nonblock --shared lock true
"""


def kept(host: FleetHost) -> int | None:
    """How many processes run, all kept by one supervisor.

    None if there is a session, an orphan, a lock or a switch that is not settled.
    """
    processes = host.processes()
    numbers = {each.pid for each in processes}
    roots = [" ".join(each.argv) for each in processes if each.parent not in numbers]
    if len(roots) > 1 or any("ctl.remote.supervisor" not in words for words in roots):
        return None
    if host.attempt("sh", "-c", UNLOCKED).returncode:
        return None
    return sum("engine.run" in each.argv for each in processes)


def are_quiet(hosts: list[FleetHost]) -> bool:
    """Whether nobody is at work on any of them."""
    return None not in in_parallel(kept, hosts)


def is_settled(site: Site, hosts: list[FleetHost], release: str | None) -> bool:
    """Whether each host runs its process of a release, and nobody is at work."""
    if set(in_parallel(kept, hosts)) != {1}:
        return False
    status = status_of(site)
    states = [process["state"] for process in status["processes"]]
    return states == ["running"] * len(hosts) and {host["release"] for host in status["hosts"]} == {
        release
    }


def befall(case: Case, deploy: Deploying, hosts: list[FleetHost], operator: str) -> None:
    """Have the accident happen, and whoever is left come to an end."""
    victims = [host for host in hosts if host.name == case.victim]
    if case.accident == "kill":
        deploy.kill()
        return
    if case.accident == "interrupt":
        ended = deploy.interrupt()
        assert ended.returncode == 130, ended.stderr
        assert (DONE if case.is_over else UNDONE).search(ended.stderr), ended.stderr
        return
    for host in victims:
        host.kill() if case.accident == "power off" else host.cut()
    if case.accident == "lose network":
        for host in hosts:
            host.drop(from_=operator, both_ways=True)
    ended = deploy.go_on()
    assert ("✓ switch  ✓ ready\n" in ended.stderr) is case.is_over, ended.stderr
    # What is out of reach for us has to come to an end by itself.
    out_of_reach = {"power off": [], "cut off": victims, "lose network": hosts}[case.accident]
    eventually(lambda: are_quiet(out_of_reach), "they give up by themselves", SECONDS)
    for host in out_of_reach:
        host.reconnect() if case.accident == "cut off" else host.undrop()


@pytest.mark.parametrize("case", CASES, ids=" ".join)
def test_an_accident_during_a_deploy(docker_fleet: Fleet, case: Case) -> None:
    hosts = docker_fleet(3)
    site = docker_fleet.site()
    if not SOAK and case.accident not in ENDS_CONNECTIONS:
        impatient(site)
    # Whoever is cut off is not to be taken for dead by its peers before ctl has given up.
    site.inventory(hosts, deployment={"heartbeat_timeout": 120})
    old = deployed(site, "one")
    site.write("flow.py", ticking("two"))
    with deploying(site, case.phase, case.where, case.state) as deploy:
        befall(case, deploy, hosts, docker_fleet.operator)

    victims = [host for host in hosts if host.name == case.victim]
    others = [host for host in hosts if host not in victims]
    answering = others if case.accident == "power off" else hosts
    eventually(lambda: are_quiet(answering), "no session is left", AT_ONCE)
    found = releases(site)
    assert set(found) == {host.name for host in answering}
    (ours,) = {found[host.name] for host in others}
    if case.commits is not None:
        assert (ours != old) is case.commits
    if case.accident == "power off":
        for host in victims:
            host.start()
            assert not host.processes(), "a host that returns starts nothing"
        found = releases(site)
    for host in victims:
        assert (found[host.name] != old) is case.is_over
    if case.accident != "power off" and len(set(found.values())) == 1:
        eventually(lambda: is_settled(site, hosts, ours), "all is put right", SECONDS)

    new = deployed(site, "two")
    assert new != old
    assert set(found.values()) <= {old, new}
    eventually(lambda: is_settled(site, hosts, new), "the next deploy has mended all", SECONDS)
