"""What happens to a cluster of real processes when something goes wrong."""

import contextlib
import os
import signal
import socket
from pathlib import Path

import pytest

from tests.engine.running import Launcher, eventually, free_ports

ENDLESS = """
import os
from datetime import datetime, timedelta, timezone
import engine.operators as op
from engine.connectors.stdio import StdOutSink
from engine.dataflow import Dataflow
from engine.inputs import DynamicSource, StatelessSourcePartition

class Ticks(StatelessSourcePartition):
    def __init__(self, worker):
        self.worker = worker
        self.count = 0
    def next_batch(self):
        self.count += 1
        return [(str(self.count), self.worker)]
    def next_awake(self):
        return datetime.now(timezone.utc) + timedelta(milliseconds=5)

class TickSource(DynamicSource):
    def build(self, step_id, worker_index, worker_count):
        return Ticks(worker_index)

flow = Dataflow("endless")
ticks = op.input("ticks", flow, TickSource())
latest = op.stateful_map("latest", ticks, lambda state, value: (value, value))
"""

QUIET = (
    ENDLESS
    + """
started = op.filter("first", ticks, lambda kv: kv[0] == "1")
op.output("nothing", op.filter("none", latest, lambda kv: False), StdOutSink())
op.output("out", op.map("say", started, lambda kv: "running"), StdOutSink())
"""
)

FAILING = (
    ENDLESS
    + """
def fail(kv):
    if kv[0] == "20":
        raise LookupError("item twenty is bad")
    return "fine"
op.output("out", op.filter("rare", op.map("check", latest, fail), lambda _: False), StdOutSink())
"""
)

FINITE = """
import engine.operators as op
from engine.connectors.stdio import StdOutSink
from engine.dataflow import Dataflow
from engine.testing import TestingSource
flow = Dataflow("finite")
numbers = op.input("numbers", flow, TestingSource(range(100)))
total = op.reduce_final("sum", op.key_on("key", numbers, lambda n: "all"), lambda a, b: a + b)
op.output("out", total, StdOutSink())
"""


@pytest.fixture
def quiet(start: Launcher) -> Path:
    return start.write("quiet.py", QUIET)


@pytest.fixture
def finite(start: Launcher) -> Path:
    return start.write("finite.py", FINITE)


def test_a_peer_that_never_starts_is_named_and_then_given_up(start: Launcher, finite: Path) -> None:
    ports = free_ports(3)
    both = [start.member(finite, each, ports, "--assemble-timeout", 6) for each in (0, 1)]
    for each in both:
        each.prints(f"waiting for 1 of 2 peers: process 2 at 127.0.0.1:{ports[2]} (refused)")
    for each in both:
        assert each.code() == 69
        assert f"process 2 at 127.0.0.1:{ports[2]} (refused)" in each.err.splitlines()[-2]


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 0)])
@pytest.mark.parametrize("process", [0, 1])
def test_a_signal_ends_a_process_that_waits_for_peers(
    start: Launcher, finite: Path, number: signal.Signals, code: int, process: int
) -> None:
    waiting = start.member(finite, process, free_ports(2))
    waiting.prints("process")
    waiting.send(number)
    assert waiting.code(5) == code


@pytest.mark.parametrize("process", [0, 1])
def test_a_signal_ends_all_that_wait_for_the_same_peer(
    start: Launcher, finite: Path, process: int
) -> None:
    ports = free_ports(3)
    waiting = [start.member(finite, each, ports) for each in range(2)]
    for each in waiting:
        each.prints("connected to process")
    waiting[process].send(signal.SIGINT)
    assert [each.code(5) for each in waiting] == [130, 130]


BLOCKING = """
import threading
import engine.operators as op
from engine.dataflow import Dataflow
from engine.testing import TestingSink, TestingSource
def block(item):
    print("blocking", flush=True)
    threading.Event().wait()
flow = Dataflow("blocking")
numbers = op.input("numbers", flow, TestingSource([1]))
spread = op.key_on("key", numbers, lambda n: "k")
op.output("out", op.stateful_map("block", spread, lambda _, n: block(n)), TestingSink([]))
"""


@pytest.mark.parametrize("count", [1, 2])
def test_a_stop_says_which_step_it_waits_for(start: Launcher, count: int) -> None:
    cluster = start.cluster(start.write("blocking.py", BLOCKING), count)
    eventually(lambda: any("blocking" in each.out for each in cluster), "the call that blocks")
    blocked = next(index for index, each in enumerate(cluster) if "blocking" in each.out)
    cluster[(blocked + 1) % count].send(signal.SIGINT)
    cluster[blocked].prints(
        f"the stop waits for step 'blocking.block' on worker {blocked}, which has not come back", 10
    )
    for each in cluster:
        assert not each.ended
    # Each process counts its own signals, and two that come at once are one.
    cluster[blocked].send(signal.SIGINT)
    cluster[blocked].prints("stopping the cluster in order")
    for each in cluster:
        each.send(signal.SIGINT)
    assert [each.code(5) for each in cluster] == [130] * count


@pytest.mark.parametrize("killed", [0, 1])
def test_a_killed_process_is_named_within_a_second(
    start: Launcher, quiet: Path, killed: int
) -> None:
    cluster = start.cluster(quiet, 3)
    for each in cluster:
        each.prints("running")
    cluster[killed].process.kill()
    for survivor in cluster[:killed] + cluster[killed + 1 :]:
        survivor.prints(f"lost process {killed} at 127.0.0.1", 1)
        assert survivor.code(5) == 74


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 0)])
@pytest.mark.parametrize("process", [0, 1])
def test_a_signal_to_one_stops_all_in_order(
    start: Launcher, quiet: Path, number: signal.Signals, code: int, process: int
) -> None:
    cluster = start.cluster(quiet, 2)
    for each in cluster:
        each.prints("running")
    cluster[process].send(number)
    assert [each.code() for each in cluster] == [code, code]
    assert "error" not in cluster[0].err + cluster[1].err


def test_an_exception_of_the_user_is_printed_last_by_all(start: Launcher) -> None:
    cluster = start.cluster(start.write("failing.py", FAILING), 3)
    assert [each.code() for each in cluster] == [70, 70, 70]
    causes = {each.err[each.err.index("error: flow failed") :] for each in cluster}
    assert len(causes) == 1
    cause = causes.pop()
    assert "in step 'endless.check'" in cause
    assert "LookupError: item twenty is bad" in cause
    assert 'raise LookupError("item twenty is bad")' in cause
    assert cause.endswith("exit 70\n")


def test_a_frozen_process_is_named_within_the_heartbeat_limit(start: Launcher, quiet: Path) -> None:
    cluster = start.cluster(quiet, 3, "--heartbeat-timeout", 2)
    for each in cluster:
        each.prints("running")
    cluster[2].send(signal.SIGSTOP)
    for each in cluster[:2]:
        each.prints("process 2 at 127.0.0.1", 4)
        assert each.code(5) == 74
        assert "no heartbeat for 2" in each.err
    cluster[2].send(signal.SIGCONT)
    assert cluster[2].code() == 74


@pytest.mark.parametrize(("seconds", "limit"), [(4, 1), (60, 30)])
def test_slow_user_code_is_not_taken_for_dead(start: Launcher, seconds: int, limit: int) -> None:
    flow = start.write(
        "slow.py",
        FINITE.replace(
            "total =",
            "import time\n"
            f"numbers = op.map('slow', numbers, lambda n: time.sleep({seconds} * (n == 50)) or n)\n"
            "total =",
        ),
    )
    cluster = start.cluster(flow, 2, "--heartbeat-timeout", limit)
    assert [each.code(seconds + 30) for each in cluster] == [0, 0], cluster[0].err + cluster[1].err
    assert "('all', 4950)\n" in (cluster[0].out, cluster[1].out)


def test_address_lists_of_different_length(start: Launcher, finite: Path) -> None:
    ports = free_ports(3)
    cluster = [start.member(finite, 0, ports[:2]), start.member(finite, 1, ports)]
    assert [each.code() for each in cluster] == [76, 76]
    for each in cluster:
        assert "process 0 has 2 addresses, process 1 has 3 addresses" in each.err


def test_address_lists_that_differ_in_the_first_entry(start: Launcher, finite: Path) -> None:
    ports = free_ports(3)
    cluster = [
        start.member(finite, 0, [ports[0], ports[1]]),
        start.member(finite, 1, [ports[2], ports[1]]),
    ]
    assert [each.code() for each in cluster] == [76, 76]
    for each in cluster:
        assert f"process 0 has '127.0.0.1:{ports[0]}'" in each.err
        assert f"process 1 has '127.0.0.1:{ports[2]}'" in each.err


def test_a_second_process_with_the_same_id(start: Launcher, quiet: Path) -> None:
    ports = free_ports(2)
    first = start.member(quiet, 1, ports)
    first.prints("process 0")
    second = start.member(quiet, 1, ports)
    assert second.code() == 69
    assert "process 1" in second.err
    assert f"pid {first.process.pid}" in second.err
    first.prints("process id 1 is already taken")
    other = start.member(quiet, 0, ports)
    other.prints("running")
    other.send(signal.SIGTERM)
    assert [first.code(), other.code()] == [0, 0]


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["-w", "2"], ["workers per process differ", "process 0 has 1, process 1 has 2"]),
        (["--cluster-id", "b"], ["cluster ids differ", "process 1 has 'b'"]),
    ],
)
def test_different_settings(
    start: Launcher, finite: Path, flags: list[str], words: list[str]
) -> None:
    ports = free_ports(2)
    cluster = [start.member(finite, 0, ports), start.member(finite, 1, ports, *flags)]
    assert [each.code() for each in cluster] == [76, 76]
    for each in cluster:
        for word in words:
            assert word in each.err


def test_different_dataflow_code(start: Launcher, finite: Path) -> None:
    other = start.write("other.py", FINITE.replace("a + b", "a + b + 1"))
    ports = free_ports(2)
    cluster = [start.member(finite, 0, ports), start.member(other, 1, ports)]
    assert [each.code() for each in cluster] == [76, 76]
    for each in cluster:
        assert "dataflows differ: process 0 has '" in each.err
        assert "the first step that differs is 'finite.sum" in each.err


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("engine.__version__ = '0.0.1'", "engine versions differ: process 0 has"),
        ("sys.version_info = Version(3, 99)", "Python versions differ: process 0 has"),
    ],
)
def test_different_versions(start: Launcher, finite: Path, change: str, words: str) -> None:
    ports = free_ports(2)
    program = start.write(
        "changed.py",
        "import collections, engine.run, sys\n"
        "Version = collections.namedtuple('Version', 'major minor')\n"
        f"{change}\n"
        "sys.exit(engine.run.main())\n",
    )
    addresses = ";".join(f"127.0.0.1:{port}" for port in ports)
    cluster = [
        start.member(finite, 0, ports),
        start.python(program, finite, "-i", 1, "-a", addresses),
    ]
    assert [each.code() for each in cluster] == [76, 76]
    for each in cluster:
        assert words in each.err


def test_an_http_request_is_one_line_in_the_log(start: Launcher, finite: Path) -> None:
    ports = free_ports(2)
    first = start.member(finite, 0, ports)
    first.prints("process 1")
    with socket.create_connection(("127.0.0.1", ports[0])) as browser:
        browser.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        first.prints("rejected connection from 127.0.0.1")
    second = start.member(finite, 1, ports)
    assert [first.code(), second.code()] == [0, 0]
    assert first.err.count("rejected connection") == 1


def test_a_silent_connection_keeps_nobody_out(start: Launcher, finite: Path) -> None:
    ports = free_ports(2)
    first = start.member(finite, 0, ports)
    first.prints("process 1")
    with socket.create_connection(("127.0.0.1", ports[0])):
        second = start.member(finite, 1, ports)
        assert [first.code(5), second.code(5)] == [0, 0]


@pytest.mark.parametrize("secret", ["wrong", None])
def test_a_process_without_the_secret_is_refused(
    start: Launcher, finite: Path, secret: str | None
) -> None:
    ports = free_ports(2)
    first = start.member(finite, 0, ports, ENGINE_SECRET="right")
    env = {} if secret is None else {"ENGINE_SECRET": secret}
    stranger = start.member(finite, 1, ports, **env)
    assert stranger.code() == 77
    assert "process 0" in stranger.err
    first.prints("rejected")
    assert not first.ended
    friend = start.member(finite, 1, ports, ENGINE_SECRET="right")
    assert [first.code(), friend.code()] == [0, 0]
    assert "right" not in first.err + stranger.err + friend.err


def processes_of(launcher: int) -> dict[str, int]:
    """By process ID of the cluster, the process on this machine."""
    found = {}
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            words = (folder / "cmdline").read_text().split("\0")
            parent = (folder / "stat").read_text().rpartition(")")[2].split()[1]
            if parent == str(launcher) and "-i" in words:
                found[words[words.index("-i") + 1]] = int(folder.name)
    return found


def test_a_frozen_process_of_a_local_cluster_is_its_failure(start: Launcher, quiet: Path) -> None:
    words = ["-P", "-m", "engine.run", quiet, "-p", 2, "--heartbeat-timeout", 1]
    cluster = start.python(*words)
    eventually(lambda: cluster.out.count("running") == 2, "both to run")
    os.kill(processes_of(cluster.process.pid)["1"], signal.SIGSTOP)
    assert cluster.code() == 74
    assert "lost process 1 at 127.0.0.1" in cluster.err
    assert "no heartbeat for 1 s" in cluster.err


def test_what_user_code_has_started_dies_with_the_launcher(start: Launcher) -> None:
    flow = start.write(
        "busy.py",
        "import subprocess\nchild = subprocess.Popen(['sleep', '600'])\n"
        + FINITE.replace("total =", "print(child.pid, flush=True)\nwhile True: pass\ntotal ="),
    )
    cluster = start.python("-P", "-m", "engine.run", flow, "-p", 2)
    eventually(lambda: len(cluster.out.split()) == 2, "both children")
    children = [Path("/proc") / pid for pid in cluster.out.split()]
    cluster.process.kill()
    eventually(lambda: not any(is_alive(child) for child in children), "the end of both")


def is_alive(folder: Path) -> bool:
    with contextlib.suppress(OSError):
        return (folder / "stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return False
