"""Engines of others on real hosts, none of which reaches a package index."""

import json
import re
from collections import Counter
from typing import Any

import pytest

from tests.engine.running import eventually
from tests.fleet.deploying import deploying
from tests.fleet.fleets import Fleet
from tests.fleet.hosts import FleetHost, Ran
from tests.fleet.refusing import refused, untouched
from tests.fleet.site import Site

BYTEWAX = """
import bytewax.operators as op
from bytewax.connectors.stdio import StdOutSink
from bytewax.dataflow import Dataflow
from bytewax.testing import TestingSource

flow = Dataflow("words")
words = op.input("words", flow, TestingSource(("a rose is a rose " * 200).split()))
op.output("out", op.map("say", op.count_final("count", words, str), str), StdOutSink())
"""


def deploy(site: Site, *words: object, **env: str) -> Ran:
    return site.ctl("deploy", "inventory.toml", "flow.py", *words, timeout=180, **env)


def status(site: Site) -> dict[str, Any]:
    seen: dict[str, Any] = json.loads(site.ctl("status", "--json").stdout)
    return seen


def states(site: Site) -> list[str]:
    return [each["state"] for each in status(site)["processes"]]


@pytest.mark.parametrize("mesh", ["direct", "relay"])
def test_a_bytewax_flow_on_three_hosts(fleet: Fleet, mesh: str) -> None:
    site = fleet.site()
    hosts = fleet(3)
    site.inventory(hosts, deployment={"runtime": "bytewax", "mesh": mesh})
    site.write("flow.py", BYTEWAX)
    deployed = deploy(site, "--follow")
    assert deployed.returncode == 0, deployed.stderr
    lines = sorted(line.partition("| ")[2] for line in deployed.stdout.splitlines() if "('" in line)
    assert lines == ["('a', 400)", "('is', 200)", "('rose', 400)"]
    assert states(site) == ["finished"] * 3
    again = deploy(site)
    assert again.returncode == 0, again.stderr
    # Nobody else reaches loopback.
    warns = mesh == "direct" and hosts[0].backend == "docker"
    for each in (deployed, again):
        assert ("whoever reaches a mesh port" in each.stderr) == warns


STATEFUL = '''
"""Sums of numbers by key, slowly; each is said with how many there were so far."""
from datetime import datetime, timedelta, timezone

import bytewax.operators as op
from bytewax.connectors.stdio import StdOutSink
from bytewax.dataflow import Dataflow
from bytewax.inputs import FixedPartitionedSource, StatefulSourcePartition

LAST = 400


class Numbers(StatefulSourcePartition):
    def __init__(self, resumed):
        self.next = resumed or 0
        self.awake = datetime.now(timezone.utc)

    def next_batch(self):
        if self.next == LAST:
            raise StopIteration
        self.next += 1
        self.awake = datetime.now(timezone.utc) + timedelta(milliseconds=50)
        return [self.next]

    def next_awake(self):
        return self.awake

    def snapshot(self):
        return self.next


class NumberSource(FixedPartitionedSource):
    def list_parts(self):
        return ["only"]

    def build_part(self, step_id, name, resumed):
        return Numbers(resumed)


def add(total, number):
    total = (total or 0) + number
    return total, (number, total)


flow = Dataflow("sums")
numbers = op.input("numbers", flow, NumberSource())
keyed = op.key_on("key", numbers, lambda number: str(number % 6))
op.output("out", op.map("say", op.stateful_map("sum", keyed, add), str), StdOutSink())
'''

BROKEN = BYTEWAX.replace(
    "op.output(",
    """

def refuse(item):
    raise LookupError("no roses here")


words = op.map("refuse", words, refuse)
op.output(""",
    1,
)

RING = '''
"""Sums the ranks of all processes by passing them round a ring."""
import os
import socket
import sys
import time


def place(address):
    host, _, port = address.rpartition(":")
    return host.strip("[]"), int(port)


if len(sys.argv) > 1:
    rank, addresses = int(sys.argv[1]), [place(each) for each in sys.argv[2].split(";")]
else:
    rank, count = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
    addresses = [place(each) for each in os.environ["HOSTMESH_ADDRESSES"].split(";")]
    assert len(addresses) == count
    assert place(f"{os.environ['MASTER_ADDR']}:{os.environ['MASTER_PORT']}") == addresses[0]
listener = socket.create_server(addresses[rank])
print("listening", flush=True)
until = time.monotonic() + 60
while True:
    try:
        right = socket.create_connection(addresses[(rank + 1) % len(addresses)])
        break
    except OSError:
        assert time.monotonic() < until, "no neighbour"
        time.sleep(0.05)
left = listener.accept()[0].makefile("rb")
total = number = rank + 1
for _ in range(len(addresses) - 1):
    right.sendall(f"{number}\\n".encode())
    number = int(left.readline())
    total += number
print(f"the sum is {total}", flush=True)
right.shutdown(socket.SHUT_WR)
assert left.read() == b""
'''


def said(site: Site) -> list[str]:
    """What all processes have printed."""
    shown = site.ctl("logs", "-n", "100000", "--json")
    return [json.loads(line)["text"] for line in shown.stdout.splitlines()]


def engines(host: FleetHost) -> list[int]:
    """The processes of a flow on a host."""
    return [each.pid for each in host.processes() if "run_bytewax.py" in " ".join(each.argv)]


def kill(host: FleetHost, pids: list[int]) -> None:
    host.run("kill", "-9", *map(str, pids))


def test_bytewax_resumes_after_processes_and_hosts_were_killed(docker_fleet: Fleet) -> None:
    site = docker_fleet.site()
    hosts = docker_fleet(3)
    recovery = {"store": "~/recovery", "interval": 1}
    site.inventory(
        hosts,
        processes={"beta": 2},
        deployment={"runtime": "bytewax", "recovery": recovery},
    )
    site.write("flow.py", STATEFUL)
    deployed = deploy(site)
    assert deployed.returncode == 0, deployed.stderr
    assert sorted(hosts[1].run("find", "recovery", "-name", "*.sqlite3").split()) == [
        "recovery/part-1.sqlite3",
        "recovery/part-2.sqlite3",
    ]

    def printed(count: int) -> bool:
        return len({line for line in said(site) if line.startswith("(")}) > count

    eventually(lambda: printed(40), "the first sums", 60)
    kill(hosts[0], engines(hosts[0])[:1])
    eventually(lambda: all(each["restarts"] for each in status(site)["processes"]), "restarts", 90)
    so_far = len({line for line in said(site) if line.startswith("(")})
    eventually(lambda: printed(so_far + 40), "more sums after a kill", 60)
    kill(hosts[1], engines(hosts[1]))
    eventually(lambda: states(site) == ["finished"] * 4, "the end", 150)
    numbers = range(1, 401)
    totals: Counter[int] = Counter()
    wanted = set()
    for number in numbers:
        totals[number % 6] += number
        wanted.add(str((str(number % 6), (number, totals[number % 6]))))
    assert {line for line in said(site) if line.startswith("(")} == wanted


def test_a_recovery_partition_that_was_lost_is_not_made_again(fleet: Fleet) -> None:
    site = fleet.site()
    hosts = fleet(2)
    options = {"runtime": "bytewax", "recovery": {"store": "~/recovery", "interval": 1}}
    site.inventory(hosts, deployment=options)
    site.write("flow.py", BYTEWAX)
    for _ in range(2):
        assert deploy(site).returncode == 0
    hosts[1].run("rm", "-r", "recovery")
    lost = r"the recovery store .*/recovery has lost its part-1\.sqlite3; .* another `store`"
    report = refused(deploy(site), 78, beta=lost)
    assert "nothing was changed" in report
    assert not hosts[1].run("find", "recovery", "-name", "*.sqlite3")
    options["recovery"] = {"store": "~/anew", "interval": 1}
    site.inventory(hosts, deployment=options)
    anew = deploy(site)
    assert anew.returncode == 0, anew.stderr
    assert hosts[1].run("find", "anew", "-name", "*.sqlite3") == "anew/part-1.sqlite3\n"


def traceback_of(flow: str, function: str) -> re.Pattern[str]:
    """What is shown of the error of a flow: where it was raised, and what it says."""
    number = 1 + next(n for n, line in enumerate(flow.splitlines()) if "raise LookupError" in line)
    place = rf"/flow\.py\", line {number}, in {function}\b"
    return re.compile(
        rf"Traceback \(most recent call last\):.*{place}.*LookupError: no roses here", re.DOTALL
    )


def test_a_traceback_of_a_bytewax_flow_is_followed(fleet: Fleet) -> None:
    site = fleet.site()
    site.inventory(fleet(2), deployment={"runtime": "bytewax"})
    site.write("flow.py", BROKEN)
    failed = deploy(site, "--follow")
    assert failed.returncode == 70, failed.stderr
    # In the report of the deploy, or among the lines of the log if all were ready before.
    shown = failed.stdout + failed.stderr
    assert traceback_of(BROKEN, "refuse").search(shown), shown


BROKEN_AND_TOLD = BROKEN.replace(
    "    raise", '    __import__("pathlib").Path.home().joinpath("refused").touch()\n    raise'
)


def test_a_traceback_of_a_bytewax_flow_is_in_the_report_of_its_deploy(fleet: Fleet) -> None:
    site = fleet.site()
    hosts = fleet(2)
    site.inventory(hosts, deployment={"runtime": "bytewax"})
    site.write("flow.py", BROKEN_AND_TOLD)

    def refused_and_ended() -> bool:
        has_refused = [host.attempt("ls", "refused").returncode == 0 for host in hosts]
        return any(has_refused) and not any(map(engines, hosts))

    # Nobody may see that they were ready before they failed.
    with deploying(site, "ready") as waiting:
        eventually(refused_and_ended, "the end of both processes")
        failed = waiting.go_on()
    assert failed.returncode == 70, failed.stderr
    assert traceback_of(BROKEN_AND_TOLD, "refuse").search(failed.stderr), failed.stderr


FAILS_WHEN_TOLD = STATEFUL.replace(
    "    total = (total or 0)",
    """    if Path.home().joinpath("fail").exists():
        raise LookupError("no roses here")
    total = (total or 0)""",
).replace("from datetime", "from pathlib import Path\nfrom datetime", 1)


def test_a_traceback_of_a_bytewax_flow_that_ran_is_in_status_and_logs(fleet: Fleet) -> None:
    site = fleet.site()
    hosts = fleet(2)
    site.inventory(hosts, deployment={"runtime": "bytewax"})
    site.write("flow.py", FAILS_WHEN_TOLD)
    deployed = deploy(site)
    assert deployed.returncode == 0, deployed.stderr
    hosts[1].write("fail", "")
    eventually(lambda: states(site) == ["failed"] * 2, "the failure of both")
    traceback = traceback_of(FAILS_WHEN_TOLD, "add")
    told = site.ctl("status")
    assert told.returncode == 70
    shown = told.stdout.partition("process 1 (beta) failed: exit 70\n    Traceback ")[2]
    assert traceback.search(f"Traceback {shown}"), told.stdout
    lost, failed = status(site)["processes"]
    assert (lost["exit_code"], failed["exit_code"]) == (74, 70)
    assert "connection with another process was lost" in lost["last_error"]
    assert traceback.search(failed["last_error"]), failed
    logged = site.ctl("logs", "--process", "1").stdout
    assert traceback.search(logged), logged


# The first is ready before the other has lost it, and says only later why.
FAILS_LATER = """
import os
import socket
import sys
import time

first = os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"])
if os.environ["RANK"] == "0":
    listener = socket.create_server(first)
    print("ready", flush=True)
    with listener.accept()[0] as connection:
        assert connection.recv(1) == b""
    raise LookupError("no roses here")
until = time.monotonic() + 60
while True:
    try:
        socket.create_connection(first).close()
        sys.exit(74)
    except OSError:
        assert time.monotonic() < until, "nobody listens"
        time.sleep(0.05)
"""


def test_the_first_cause_is_found_on_a_host_that_was_ready(fleet: Fleet) -> None:
    site = fleet.site()
    options = {
        "runtime": "command",
        "command": ["python", "flow.py"],
        "ready": {"log": "^ready$"},
        "mesh": "direct",
    }
    site.inventory(fleet(2), deployment=options)
    site.write("flow.py", FAILS_LATER)
    failed = deploy(site)
    assert failed.returncode == 70, failed.stderr
    first, later = failed.stderr.partition("not deployed")[2].split("beta ")
    assert "LookupError: no roses here" in first
    assert "process 1 ended with exit code 74" in later


def test_no_wheel_for_the_python_of_a_host(docker_fleet: Fleet) -> None:
    site = docker_fleet.site()
    hosts = docker_fleet(2, python="3.13")
    site.inventory(hosts, deployment={"runtime": "bytewax"})
    site.write("flow.py", BYTEWAX)
    failed = deploy(site)
    no_wheel = r"no wheel of bytewax 0\.21\.1 for CPython 3\.13; Python 3\.11 and 3\.12 would do\n"
    report = refused(failed, 76, alpha=no_wheel, beta=no_wheel)
    assert "exit 76; nothing was changed" in report
    assert "push" not in failed.stderr
    untouched(hosts)


def test_a_peer_behind_a_firewall_is_named(docker_fleet: Fleet) -> None:
    site = docker_fleet.site()
    hosts = docker_fleet(2)
    site.inventory(hosts, deployment={"runtime": "bytewax"})
    site.write("flow.py", BYTEWAX)
    hosts[1].drop(port=9000)
    failed = deploy(site)
    assert failed.returncode == 69, failed.stderr
    assert "cannot reach beta" in failed.stderr


@pytest.mark.parametrize("mesh", ["direct", "relay"])
@pytest.mark.parametrize("arguments", [["{process_id}", "{addresses}"], []])
def test_a_ring_of_commands(fleet: Fleet, mesh: str, arguments: list[str]) -> None:
    site = fleet.site()
    options = {
        "runtime": "command",
        "command": ["python", "flow.py", *arguments],
        "ready": {"log": "^listening$"},
        "mesh": mesh,
    }
    site.inventory(fleet(3), deployment=options)
    site.write("flow.py", RING)
    deployed = deploy(site, "--follow")
    assert deployed.returncode == 0, deployed.stderr
    assert deployed.stdout.count("the sum is 6") == 3
    assert states(site) == ["finished"] * 3


def test_prune_removes_what_nobody_uses(fleet: Fleet) -> None:
    site = fleet.site()
    [host] = fleet(1)
    site.inventory([host], deployment={"runtime": "command", "command": ["sleep", "1000"]})
    for mark in ("one", "two"):
        site.write("flow.py", f"# {mark}")
        assert deploy(site).returncode == 0
    listed = site.ctl("prune", "--dry-run")
    assert listed.returncode == 0, listed.stderr
    assert "1 layer" in listed.stderr
    assert "would be removed from 1 host" in listed.stderr
    assert len(host.run("ls", ".hostmesh/layers").split()) == 3
    pruned = site.ctl("prune")
    assert pruned.returncode == 0, pruned.stderr
    assert len(host.run("ls", ".hostmesh/layers").split()) == 2
    assert "nothing to remove" in site.ctl("prune").stderr
    assert states(site) == ["running"]


# Whoever asks whether it is ready is the only one that it ever answers.
ANSWERS_ONCE = """
import os
import signal
import socket

host, port = os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"])
with socket.create_server((host, port)) as listener:
    listener.accept()[0].close()
signal.pause()
"""


def test_what_was_ready_is_not_said_to_be_starting(loopback_fleet: Fleet) -> None:
    site = loopback_fleet.site()
    options = {"runtime": "command", "command": ["python", "flow.py"], "ready": "tcp"}
    site.inventory(loopback_fleet(1), deployment=options)
    site.write("flow.py", ANSWERS_ONCE)
    deployed = deploy(site)
    assert deployed.returncode == 0, deployed.stderr
    assert "\nRunning in " in deployed.stderr
    assert states(site) == ["starting"]


def test_the_web_api_of_bytewax_is_off_unless_asked_for(docker_fleet: Fleet) -> None:
    site = docker_fleet.site()
    [host] = docker_fleet(1)
    dial = "import socket, sys; socket.create_connection((sys.argv[1], 3030)).close()"

    def is_open() -> bool:
        return host.attempt("python3", "-c", dial, host.address).returncode == 0

    site.write("flow.py", STATEFUL)
    for asked in (False, True):
        site.inventory([host], deployment={"runtime": "bytewax", "api": asked})
        deployed = deploy(site)
        assert deployed.returncode == 0, deployed.stderr
        warning = "Bytewax shows the dataflow to whoever reaches port 3030 of a host"
        assert (warning in deployed.stderr) == asked
        # By then it is open, or never.
        eventually(lambda: "('1', (1, 1))" in said(site), "the first sum")
        assert is_open() == asked


def test_pathway_on_several_hosts_needs_a_licence_key(fleet: Fleet) -> None:
    site = fleet.site()
    site.inventory(fleet(3), deployment={"runtime": "pathway"})
    site.write("flow.py", "import pathway")
    refused = deploy(site)
    assert refused.returncode == 78, refused.stderr
    assert "only with a licence key" in refused.stderr
