"""What `ctl check` and the begin of a deploy find out about hosts and the ways between them."""

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.engine.running import eventually
from tests.fleet.deploying import deploying
from tests.fleet.fleets import Fleet
from tests.fleet.flows import ticking
from tests.fleet.hosts import FleetHost
from tests.fleet.refusing import refused, untouched
from tests.fleet.site import Site

DEPLOY = ("deploy", "inventory.toml", "flow.py")
CHECK = ("check", "inventory.toml")

LISTEN = """\
import socket, sys, threading
listener = socket.create_server((sys.argv[1], int(sys.argv[2])))
threading.Event().wait()
"""

# A Python with a clock of its own; the words are those that sessions begin with.
LATE_PYTHON = """\
#!/bin/sh
late='import time; now = time.time; time.time = lambda: now() + 60'
exec python3.11 "$1" "$2" "$3" "$4" "$late; $5" "$6"
"""


@contextmanager
def listening(host: FleetHost, address: str | None = None, port: int = 9000) -> Iterator[None]:
    """Have another program hold an address of a host, by default where its first mesh port is."""
    place = (address or host.address, str(port))
    start = 'setsid python3 -c "$0" "$1" "$2" >/dev/null 2>&1 </dev/null &'
    host.run("sh", "-c", start, LISTEN, *place)
    dial = "import socket, sys; socket.create_connection(sys.argv[1:]).close()"
    eventually(lambda: host.attempt("python3", "-c", dial, *place).returncode == 0, "its port")
    yield
    pids = [str(each.pid) for each in host.processes() if "create_server" in " ".join(each.argv)]
    host.run("kill", *pids)


def status_of(site: Site) -> Any:
    return json.loads(site.ctl("status", "--json").stdout)


def site_for(fleet: Fleet) -> Site:
    site = fleet.site()
    site.write("flow.py", ticking("one"))
    return site


# Python.


def test_another_python_on_one_host(docker_fleet: Fleet) -> None:
    hosts = docker_fleet(3, python=["3.11", "3.11", "3.13"])
    site = site_for(docker_fleet)
    site.inventory(hosts)
    other = r"Python 3\.13\.\d+, the others 3\.11\.\d+\n +fix: python = \"python3\.11\" for gamma"
    for words in (CHECK, DEPLOY):
        ran = site.ctl(*words)
        report = refused(ran, 76, gamma=other)
        assert "exit 76; nothing was changed" in report
        assert "push" not in ran.stderr
    untouched(hosts)


def test_no_python(loopback_fleet: Fleet) -> None:
    hosts = loopback_fleet(2)
    site = site_for(loopback_fleet)
    site.inventory(hosts, keys={"beta": {"python": "python9"}})
    none = r"no Python: there is no `python9`\n +fix: set `python` of beta"
    for words in (CHECK, DEPLOY):
        refused(site.ctl(*words), 76, beta=none)
    untouched(hosts)


def test_a_python_that_is_too_old(loopback_fleet: Fleet) -> None:
    _, beta = hosts = loopback_fleet(2)
    site = site_for(loopback_fleet)
    site.inventory(hosts, keys={"beta": {"python": beta.old_python()}})
    old = r"Python 3\.8\.\d+, too old; 3\.11 .*\n +fix: set `python` of beta"
    for words in (CHECK, DEPLOY):
        refused(site.ctl(*words), 76, beta=old)
    untouched(hosts)


def test_what_is_wrong_on_several_hosts_is_said_at_once(docker_fleet: Fleet) -> None:
    alpha, beta, gamma, delta, epsilon = hosts = docker_fleet(
        5, python=["3.11", "3.11", "3.13", "3.11", "3.11"]
    )
    site = site_for(docker_fleet)
    site.inventory(
        hosts,
        keys={"beta": {"python": "~/late-python"}, "epsilon": {"root": "/usr/local/hostmesh"}},
    )
    beta.write("late-python", LATE_PYTHON, 0o755)
    epsilon.kill()
    late = r"its clock is (59|6\d) s ahead of this machine's\n +fix: .*NTP"
    other = r"Python 3\.13\.\d+, the others 3\.11\.\d+\n +fix: python = "
    gone = f"({epsilon.address} port 22 has not|there is no route to {epsilon.address})"
    with listening(delta):
        checked = site.ctl(*CHECK, "--connect-timeout", "2")
        in_use = r"mesh port 9000 is in use by another program\n +fix: set `mesh_port` or `bind`"
        refused(checked, 78, beta=late, gamma=other, delta=in_use, epsilon=gone)
        rows = [line.split() for line in checked.stdout.splitlines()]
        assert [row[0] for row in rows] == ["HOST", *(host.name for host in hosts)]
        assert [row[1][:4] for row in rows[1:]] == ["3.11", "3.11", "3.13", "3.11", "\N{EN DASH}"]
        deployed = site.ctl(*DEPLOY, "--connect-timeout", "2")
        refused(deployed, 78, beta=late, gamma=other, delta=in_use, epsilon=gone)
        beta.run("rm", "late-python")
        untouched([alpha, beta, gamma, delta], "create_server")


def test_the_operators_own_clock_is_wrong(loopback_fleet: Fleet, tmp_path: Path) -> None:
    hosts = loopback_fleet(2)
    site = site_for(loopback_fleet)
    site.inventory(hosts)
    wrong = "import time\nnow = time.time\ntime.time = lambda: now() + 60\n"
    (tmp_path / "sitecustomize.py").write_text(wrong)
    behind = r"its clock is (59|6\d) s behind this machine's\n +fix: .*NTP"
    ran = site.ctl(*DEPLOY, PYTHONPATH=str(tmp_path))
    refused(ran, 78, alpha=behind, beta=behind)
    untouched(hosts)


# Limits.


def test_a_limit_of_open_files_that_is_too_low(docker_fleet: Fleet) -> None:
    _, beta = hosts = docker_fleet(2)
    site = site_for(docker_fleet)
    site.inventory(hosts)
    few = "deploy hard nofile 255\n"
    beta.write("/etc/security/limits.d/few.conf", few, user="root")
    said = "a process may open 255 files, 256 are needed\n +fix: raise `nofile` of user deploy in "
    for words in (CHECK, DEPLOY):
        report = refused(site.ctl(*words), 78, beta=said)
        assert "exit 78; nothing was changed" in report
    untouched(hosts)
    beta.write("/etc/security/limits.d/few.conf", few.replace("255", "256"), user="root")
    deployed = site.ctl(*DEPLOY)
    assert deployed.returncode == 0, deployed.stderr


# The mesh.


def test_a_mesh_port_that_another_program_has(docker_fleet: Fleet) -> None:
    _, beta = hosts = docker_fleet(2)
    site = site_for(docker_fleet)
    site.inventory(hosts)
    in_use = (
        r"mesh port 9000 is in use by another program\n +fix: set `mesh_port` or `bind` of beta"
    )
    with listening(beta):
        for words in (CHECK, DEPLOY):
            report = refused(site.ctl(*words), 69, beta=in_use)
            assert "exit 69; nothing was changed" in report
        untouched(hosts, "create_server")
    assert site.ctl(*DEPLOY).returncode == 0


def test_a_mesh_port_that_a_firewall_drops_for_one_host(docker_fleet: Fleet) -> None:
    alpha, beta, _ = hosts = docker_fleet(3)
    site = site_for(docker_fleet)
    site.inventory(hosts)
    alpha.drop(port=9000, from_=beta)
    dropped = (
        f"cannot reach alpha at {alpha.address}:9000: timed out; a firewall may drop it\n +fix: "
    )
    for words in (CHECK, DEPLOY):
        report = refused(site.ctl(*words), 69, beta=dropped)
        assert "fix: open the port on the way to alpha" in report
    untouched(hosts)


def test_a_new_host_that_a_firewall_keeps_from_a_process_that_runs(docker_fleet: Fleet) -> None:
    alpha, beta, gamma = docker_fleet(3)
    site = site_for(docker_fleet)
    site.inventory([alpha, beta])
    assert site.ctl(*DEPLOY).returncode == 0
    before = [each["pid"] for each in status_of(site)["processes"]]
    site.inventory([alpha, beta, gamma])
    alpha.drop(port=9000, from_=gamma)
    dropped = f"cannot reach alpha at {alpha.address}:9000: timed out; a firewall may drop it\n"
    for words in (CHECK, DEPLOY):
        report = refused(site.ctl(*words), 69, gamma=dropped)
        assert "fix: open the port on the way to alpha" in report
        assert "exit 69; nothing was changed" in report
    untouched([gamma])
    site.inventory([alpha, beta])
    assert [each["pid"] for each in status_of(site)["processes"]] == before


# Disks.


def test_a_root_that_cannot_be_written(docker_fleet: Fleet) -> None:
    hosts = docker_fleet(4)
    site = site_for(docker_fleet)
    roots = {"beta": "/proc/nope", "gamma": "/usr/local/x", "delta": "~/.bashrc/x"}
    site.inventory(hosts, keys={name: {"root": root} for name, root in roots.items()})
    why = {
        "beta": "cannot write /proc/nope: /proc is not writable for deploy",
        "gamma": "cannot write /usr/local/x: /usr/local is not writable for deploy",
        "delta": r"cannot write .*/\.bashrc/x: .*/\.bashrc is not a folder",
    }
    wrong = {
        name: rf"{said}\n +fix: set `root` of {name} in the inventory" for name, said in why.items()
    }
    for words in (CHECK, DEPLOY):
        refused(site.ctl(*words), 73, **wrong)
    untouched(hosts)


def test_a_disk_that_is_full(docker_fleet: Fleet) -> None:
    hosts = docker_fleet(1, disk="16m")
    site = site_for(docker_fleet)
    site.inventory(hosts)
    full = r"disk full: 1\d MB free at /home/deploy/\.hostmesh, \d\d MB needed\n +fix: free some"
    for words in (CHECK, DEPLOY):
        refused(site.ctl(*words), 73, alpha=full)
    untouched(hosts)


@pytest.mark.parametrize("phase", ["push", "switch"])
def test_a_disk_that_fills_during_a_first_deploy(docker_fleet: Fleet, phase: str) -> None:
    (alpha,) = hosts = docker_fleet(1, disk="64m")
    site = site_for(docker_fleet)
    site.inventory(hosts)
    with deploying(site, phase) as deploy:
        alpha.fill_disk()
        failed = deploy.go_on()
    refused(failed, 73, alpha=r"cannot write .*: No space left on device.*\n +fix: free some space")
    untouched(hosts)
    alpha.free_disk()
    deployed = site.ctl(*DEPLOY)
    assert deployed.returncode == 0, deployed.stderr


@pytest.mark.parametrize("phase", ["stage", "switch"])
def test_the_old_release_runs_on_with_a_full_disk(docker_fleet: Fleet, phase: str) -> None:
    (alpha,) = hosts = docker_fleet(1, disk="64m")
    site = site_for(docker_fleet)
    site.inventory(hosts)
    assert site.ctl(*DEPLOY).returncode == 0
    before = status_of(site)
    site.write("flow.py", ticking("two"))
    with deploying(site, phase) as deploy:
        alpha.fill_disk()
        failed = deploy.go_on()
    report = refused(
        failed, 73, alpha=r"cannot write .*: No space left on device.*\n +fix: free some space"
    )
    assert re.search(r"exit 73; (nothing was changed|release \w{6} still runs)", report), report

    def runs() -> bool:
        now = status_of(site)
        states = [each["state"] for each in now["processes"]]
        return states == ["running"] and now["hosts"][0]["release"] == before["release"]

    eventually(runs, "the old release runs")
    alpha.free_disk()
    deployed = site.ctl(*DEPLOY)
    assert deployed.returncode == 0, deployed.stderr
    assert status_of(site)["release"] != before["release"]
