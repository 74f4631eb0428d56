"""Operators who get in each other's way, hosts that are silent, and hosts that know nothing."""

import json
import re
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import pytest

from tests.fleet.deploying import deploying
from tests.fleet.fleets import Fleet
from tests.fleet.proxy import Proxy
from tests.fleet.refusing import refused, untouched
from tests.fleet.scripts import SCRIPT, scripting
from tests.fleet.site import Site
from tests.fleet.sshd import known_hosts_line

DEPLOY = ("deploy", "inventory.toml", "flow.py")
TALKING = """
import time

while True:
    print({!r})
    time.sleep(0.1)
"""


def status_of(site: Site, *words: str) -> Any:
    return json.loads(site.ctl("status", "--json", *words).stdout)


def operator(fleet: Fleet, text: str = "one", **settings: Any) -> Site:
    """An operator whose scripts go on printing a text."""
    site = scripting(fleet.site())
    site.inventory(fleet.hosts, deployment=SCRIPT, **settings)
    site.write("flow.py", TALKING.format(text))
    return site


def states_of(site: Site) -> list[str]:
    return [process["state"] for process in status_of(site)["processes"]]


# Two operators.


def test_of_two_operators_one_wins(fleet: Fleet) -> None:
    fleet(2)
    alice, bob = operator(fleet, "of alice"), operator(fleet, "of bob")
    begin = datetime.now(UTC).replace(microsecond=0)
    with deploying(alice, "stage", user="alice") as deploy:
        for words in (DEPLOY, ("stop",)):
            ran = bob.ctl(*words, LOGNAME="bob")
            held = rf"deployment flights is being changed by alice on {socket.gethostname()} "
            held += r"\(ctl deploy\), since .* UTC\n +fix: try again later"
            report = refused(ran, 75, alpha=held)
            assert "nothing was changed" in report
            found = re.search(r"since (.*) UTC", report)
            assert found is not None
            since = datetime.fromisoformat(f"{found[1]}+00:00")
            assert begin <= since <= datetime.now(UTC)
        ended = deploy.go_on()
        assert ended.returncode == 0, ended.stderr
    logs = bob.ctl_start("logs", "-f")
    logs.prints("of alice")
    deployed = bob.ctl(*DEPLOY)
    assert deployed.returncode == 0, deployed.stderr
    logs.prints("of bob")
    assert states_of(alice) == ["running"] * 2


def test_the_lock_ends_with_who_holds_it(fleet: Fleet) -> None:
    hosts = fleet(2)
    site = operator(fleet)
    with deploying(site, "push") as deploy:
        deploy.kill()
        untouched(hosts)
    deployed = site.ctl(*DEPLOY)
    assert deployed.returncode == 0, deployed.stderr


def test_two_deploys_at_once_leave_one_release(loopback_fleet: Fleet) -> None:
    loopback_fleet(2)
    sites = [operator(loopback_fleet, f"of operator {number}") for number in range(2)]
    running = [site.ctl_start(*DEPLOY) for site in sites]
    codes = [each.code(60) for each in running]
    shown = "\n".join(each.err for each in running)
    # The second one may come when the first is through already.
    assert 0 in codes, shown
    assert set(codes) <= {0, 75}, shown
    status = status_of(sites[0])
    assert status["state"] == "running", shown
    assert len({host["release"] for host in status["hosts"]}) == 1


def test_a_deploy_that_nobody_can_end_is_told_and_mended(fleet: Fleet) -> None:
    """Sessions put their host back when ctl is gone, but they may be killed as well."""
    hosts = fleet(2)
    site = operator(fleet)
    assert site.ctl(*DEPLOY).returncode == 0
    before = status_of(site)["release"]
    site.write("flow.py", TALKING.format("two"))
    with deploying(site, "switch", "-", "done") as deploy:
        for host in hosts:
            words = {each.pid: " ".join(each.argv) for each in host.processes()}
            sessions = [pid for pid, said in words.items() if ".hostmesh" not in said]
            assert sessions, words
            host.attempt("kill", "-9", *map(str, sessions))
        deploy.kill()
    told = site.ctl("status")
    assert told.returncode == 74, told.stdout
    assert told.stdout.startswith("flights  degraded (deploy cut off)")
    assert "alpha: a deploy was cut off here" in told.stdout

    mended = site.ctl(*DEPLOY)
    assert mended.returncode == 0, mended.stderr
    assert "beta: put back what a cut-off deploy had left" in mended.stderr
    assert states_of(site) == ["running"] * 2
    assert status_of(site)["release"] != before


# Nothing is deployed.


def test_commands_about_what_was_never_deployed(loopback_fleet: Fleet) -> None:
    hosts = loopback_fleet(2)
    site = loopback_fleet.site()
    site.inventory(hosts)
    status = site.ctl("status")
    assert status.returncode == 0, status.stderr
    assert status.stdout.startswith("flights  stopped (never deployed here)\n"), status.stdout
    assert status_of(site)["release"] is None
    logs = site.ctl("logs")
    assert (logs.returncode, logs.stdout) == (0, ""), logs.stderr
    report = refused(site.ctl("stop"), 66)
    assert "flights is not deployed on these hosts" in report
    untouched(hosts)


@pytest.mark.parametrize("command", ["status", "logs"])
def test_commands_find_no_inventory(loopback_fleet: Fleet, command: str) -> None:
    report = refused(loopback_fleet.site().ctl(command), 66)
    assert "no inventory: none is named, none was deployed from here" in report
    assert "ctl init" in report


# Hosts that are silent.


def test_a_silent_host(docker_fleet: Fleet) -> None:
    alpha, beta, gamma = docker_fleet(3)
    site = operator(docker_fleet)
    assert site.ctl(*DEPLOY).returncode == 0
    beta.pause()
    begin = time.monotonic()
    seen = site.ctl("status", "--connect-timeout", "1")
    took = time.monotonic() - begin
    assert seen.returncode == 69, seen.stderr
    assert took < 5, "no longer than the limit and what the command takes by itself"
    assert re.match(r"flights  degraded  release \w{6}\n", seen.stdout), seen.stdout
    table = [line.split() for line in seen.stdout.splitlines()[2:5]]
    assert [row[1] for row in table] == ["alpha", "beta", "gamma"]
    assert [row[3] for row in table] == ["running", "unknown", "running"]
    assert re.search(r"^beta: .*says nothing for 1 s", seen.stdout, re.MULTILINE), seen.stdout

    status = status_of(site, "--connect-timeout", "1")
    assert status["state"] == "degraded"
    assert [host["reachable"] for host in status["hosts"]] == [True, False, True]
    assert "says nothing for 1 s" in status["hosts"][1]["error"]
    assert [each["state"] for each in status["processes"]] == ["running", "unknown", "running"]
    assert [each["pid"] is None for each in status["processes"]] == [False, True, False]

    silent = f"{beta.address} port 22 is no SSH server: it says nothing for 1 s"
    logs = site.ctl("logs", "-n", "3", "--connect-timeout", "1")
    refused(logs, 69, beta=silent)
    assert {line.split()[1] for line in logs.stdout.splitlines()} == {"alpha", "gamma"}

    refused(site.ctl(*DEPLOY, "--connect-timeout", "1"), 69, beta=silent)
    stopped = site.ctl("stop", "--grace", "1", "--connect-timeout", "1")
    report = refused(stopped, 69, beta=silent)
    assert "all other hosts have stopped" in report
    for host in (alpha, gamma):
        assert not host.processes()
    beta.unpause()
    again = site.ctl("stop")
    assert again.returncode == 0, again.stderr
    assert states_of(site) == ["stopped"] * 3


@contextmanager
def slow_beta(fleet: Fleet) -> Iterator[tuple[Site, Proxy]]:
    """An operator whose packets to beta are on their way until `mend`, and that proxy."""
    _, beta, _ = fleet(3)
    with Proxy((beta.address, beta.port)) as proxy:
        address, port = proxy.address
        site = operator(fleet, keys={"beta": {"ssh": address, "ssh_port": port}})
        known = site.known_hosts.read_text()
        site.known_hosts.write_text(known + known_hosts_line(address, port, beta.key))
        proxy.cut()
        yield site, proxy


@pytest.mark.parametrize("words", [DEPLOY, ("check",)], ids=["deploy", "check"])
def test_a_host_that_is_slow_holds_back_no_others_report(
    loopback_fleet: Fleet, words: tuple[str, ...]
) -> None:
    with slow_beta(loopback_fleet) as (site, proxy):
        waiting = site.ctl_start(*words, "--connect-timeout", "30")
        waiting.prints("alpha  ✓ connect")
        waiting.prints("gamma  ✓ connect")
        assert "beta" not in waiting.err
        proxy.mend()
        assert waiting.code() == 0, waiting.err
        assert "beta   ✓ connect" in waiting.err
