"""`deploy`, `status`, `logs`, `stop`: a dataflow on hosts, from one command."""

import shutil
from contextlib import closing
from pathlib import Path

import pytest

from tests.engine.running import eventually
from tests.fleet.fleets import Fleet
from tests.fleet.flows import FAILING, FINITE, ticking
from tests.fleet.proxy import Proxy
from tests.fleet.refusing import kept, unlocked
from tests.fleet.scripts import lines, processes, states, status

ROOT = Path(__file__).parents[2]


def test_flights_on_three_hosts(docker_fleet: Fleet, flights_csv: Path, command) -> None:
    site = docker_fleet.site()
    hosts = docker_fleet(3)
    site.inventory(
        hosts,
        processes={"alpha": 2, "beta": 2, "gamma": 1},
        deployment={"include": [".data/flights.csv"]},
    )
    flights = (ROOT / "examples" / "flights.py").read_text()
    # The flow itself prints nothing.
    site.write("examples/flights.py", flights + "print('loaded by', os.getpid())\n")
    (site.folder / ".data").mkdir()
    shutil.copy(flights_csv, site.folder / ".data")

    deployed = site.ctl("deploy", "inventory.toml", "examples/flights.py", "--follow", timeout=180)
    assert deployed.returncode == 0, deployed.stderr
    assert "3 hosts, 5 processes" in deployed.stderr
    told = status(site)
    assert told["state"] == "finished"
    places = list(enumerate(("alpha", "alpha", "beta", "beta", "gamma")))
    assert [(each["id"], each["host"]) for each in told["processes"]] == places
    said = [each for each in lines(site, "-n", 100) if each["text"].startswith("loaded by ")]
    assert sorted((each["process"], each["host"]) for each in said) == places
    stopped = site.ctl("stop")
    assert stopped.returncode == 0, stopped.stderr
    assert "flights: 5 processes: 5 finished\n" in stopped.stderr
    assert states(site) == ["finished"] * 5

    here = site.ctl("run", "examples/flights.py", timeout=180)
    assert here.returncode == 0, here.stderr
    wanted = (site.folder / ".data" / "delays.csv").read_text()
    work = ".hostmesh/deployments/flights/work/.data/delays.csv"
    found = [host.attempt("cat", work) for host in hosts]
    assert [each.stdout for each in found if each.returncode == 0] == [wanted]


def test_deploy_status_logs_stop(fleet: Fleet) -> None:
    site = fleet.site()
    hosts = fleet(2)
    site.inventory(hosts, processes={"alpha": 2})
    site.write("flow.py", ticking("one"))
    deployed = site.ctl("deploy", "inventory.toml", "flow.py")
    assert deployed.returncode == 0, deployed.stderr
    assert states(site) == ["running"] * 3

    def counted() -> bool:
        return all(each["items_in"] > 0 for each in processes(site))

    eventually(counted, "every process has read items")
    logs = site.ctl("logs", "-n", "5")
    assert "tick" in logs.stdout
    assert "alpha" in logs.stdout
    stopped = site.ctl("stop")
    assert stopped.returncode == 0, stopped.stderr
    assert states(site) == ["stopped"] * 3
    for host in hosts:
        assert not [each for each in host.processes() if "hostmesh" in " ".join(each.argv)]


def test_a_new_release_replaces_the_old_one(fleet: Fleet) -> None:
    site = fleet.site()
    site.inventory(fleet(2))
    for mark in ("one", "two"):
        site.write("flow.py", ticking(mark))
        deployed = site.ctl("deploy", "inventory.toml", "flow.py")
        assert deployed.returncode == 0, deployed.stderr
    follow = site.ctl_start("logs", "-f", "-n", "3")
    follow.prints("two")
    eventually(lambda: follow.out.count("two") > 20, "lines go on")
    assert "one" not in follow.out.splitlines()[-1]


def test_a_finite_flow_ends_with_its_exit_code(fleet: Fleet) -> None:
    site = fleet.site()
    site.inventory(fleet(2))
    site.write("flow.py", FINITE)
    deployed = site.ctl("deploy", "inventory.toml", "flow.py", "--follow")
    assert deployed.returncode == 0, deployed.stderr
    said = sorted(line.partition("(")[2] for line in deployed.stdout.splitlines() if "(" in line)
    assert said == ["'a', 2)", "'is', 1)", "'rose', 2)"]
    assert states(site) == ["finished"] * 2


def test_a_flow_that_fails_is_undone_and_explained(fleet: Fleet) -> None:
    site = fleet.site()
    hosts = fleet(2)
    site.inventory(hosts)
    site.write("flow.py", ticking("one"))
    assert site.ctl("deploy", "inventory.toml", "flow.py").returncode == 0
    before = [kept(host) for host in hosts]
    site.write("flow.py", FAILING)
    failed = site.ctl("deploy", "inventory.toml", "flow.py")
    assert failed.returncode == 70, failed.stderr
    assert "LookupError: no roses here" in failed.stderr
    assert "still runs" in failed.stderr
    eventually(lambda: states(site) == ["running"] * 2, "the old release runs again")
    unlocked(hosts)
    assert [kept(host) for host in hosts] == before


def test_a_host_that_was_not_waited_for_is_not_called_ready(loopback_fleet: Fleet) -> None:
    site = loopback_fleet.site()
    program = "import sys, time\nsys.exit(3) if sys.argv[1] == '0' else time.sleep(3600)\n"
    command = {"command": ["python", "flow.py", "{process_id}"], "ready": {"log": "never"}}
    site.inventory(loopback_fleet(2), deployment={"runtime": "command", **command})
    site.write("flow.py", program)
    failed = site.ctl("deploy", "inventory.toml", "flow.py")
    assert failed.returncode == 70, failed.stderr
    assert "✓ ready" not in failed.stderr
    assert "beta   ✗ ready  not waited for, since another host has failed\n" in failed.stderr
    assert "process 0 ended with exit code 3" in failed.stderr.partition("error: ")[2]
    assert "beta" not in failed.stderr.partition("error: ")[2]


def test_the_first_deploy_that_fails_leaves_nothing(fleet: Fleet) -> None:
    site = fleet.site()
    hosts = fleet(2)
    site.inventory(hosts)
    site.write("flow.py", FAILING)
    failed = site.ctl("deploy", "inventory.toml", "flow.py")
    assert failed.returncode == 70, failed.stderr
    for host in hosts:
        assert host.attempt("ls", "-A", ".hostmesh").returncode != 0
        assert not [each for each in host.processes() if "hostmesh" in " ".join(each.argv)]


def test_a_host_on_another_way_is_the_same_host(fleet: Fleet) -> None:
    site = fleet.site()
    hosts = fleet(1)
    site.inventory(hosts)
    site.write("flow.py", ticking("one"))
    assert site.ctl("deploy", "inventory.toml", "flow.py").returncode == 0
    with closing(Proxy((hosts[0].address, hosts[0].port))) as proxy:
        name, port = proxy.address
        key = hosts[0].known_hosts_line.partition(" ")[2]
        site.known_hosts.write_text(site.known_hosts.read_text() + f"[{name}]:{port} {key}")
        site.inventory(hosts, keys={hosts[0].name: {"ssh": name, "ssh_port": port}})
        deployed = site.ctl("deploy", "inventory.toml", "flow.py")
        assert deployed.returncode == 0, deployed.stderr
        assert "left" not in deployed.stderr
        assert states(site) == ["running"]


@pytest.mark.parametrize("gone", ["alpha", "beta"])
def test_hosts_that_left_the_inventory_are_stopped(fleet: Fleet, gone: str) -> None:
    site = fleet.site()
    hosts = fleet(2)
    site.inventory(hosts)
    site.write("flow.py", ticking("one"))
    assert site.ctl("deploy", "inventory.toml", "flow.py").returncode == 0
    site.inventory([host for host in hosts if host.name != gone])
    deployed = site.ctl("deploy", "inventory.toml", "flow.py")
    assert deployed.returncode == 0, deployed.stderr
    left = next(host for host in hosts if host.name == gone)
    assert not [each for each in left.processes() if "engine.run" in " ".join(each.argv)]
    assert states(site) == ["running"]
