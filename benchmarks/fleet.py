"""Measure `ctl` on containers with sshd: `python -m benchmarks.fleet [ROW ...]`.

Each row prints what was reached beside its target. Hosts are the containers of the tests.
"""

import argparse
import contextlib
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import venv
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from unittest.mock import patch

from ctl import Deployment
from ctl.layers import Layer
from ctl.progress import Silent
from ctl.remote.blocks import WINDOW
from ctl.transport.session import Session
from tests.fleet.docker_hosts import DockerPool, engine
from tests.fleet.fleets import Fleet
from tests.fleet.flows import ticking
from tests.fleet.hosts import FleetHost
from tests.fleet.proxy import Proxy
from tests.fleet.runs import this_run
from tests.fleet.site import CTL, Site

ROUNDS = 5
ENV = Path(__file__).parents[1] / ".bench" / "pyinfra"
REQUIREMENT = "pyinfra==3.10.0"
PACKAGES = ["numpy", "pandas", "pyarrow", "scipy"]

CHATTY = """
import time
from datetime import datetime, timedelta, timezone

import engine.operators as op
from engine.connectors.stdio import StdOutSink
from engine.dataflow import Dataflow
from engine.inputs import DynamicSource, StatelessSourcePartition


class Lines(StatelessSourcePartition):
    def __init__(self):
        self.awake = datetime.now(timezone.utc)

    def next_batch(self):
        self.awake += timedelta(milliseconds=10)
        return [f"at {time.time():.6f} a line of some length for the log"] * 10

    def next_awake(self):
        return self.awake


class LineSource(DynamicSource):
    def build(self, step_id, worker_index, worker_count):
        return Lines()


flow = Dataflow("chatty")
op.output("out", op.input("lines", flow, LineSource()), StdOutSink())
"""

WORDS = """
import random
import time

import bytewax.operators as op
from bytewax.dataflow import Dataflow
from bytewax.inputs import DynamicSource, StatelessSourcePartition
from bytewax.outputs import DynamicSink, StatelessSinkPartition

random.seed(1)
LINES = [" ".join(f"w{random.paretovariate(1):.0f}" for _ in range(10)) for _ in range(200_000)]
began = []


class Lines(StatelessSourcePartition):
    def __init__(self):
        # As many as a FileSource gives at once by default.
        self.batches = [LINES[start : start + 1000] for start in range(0, len(LINES), 1000)]

    def next_batch(self):
        began.append(time.perf_counter())
        if not self.batches:
            raise StopIteration()
        return self.batches.pop()


class LineSource(DynamicSource):
    def build(self, step_id, worker_index, worker_count):
        return Lines()


class Totals(StatelessSinkPartition):
    total = 0

    def write_batch(self, items):
        self.total += sum(count for _, count in items)

    def close(self):
        print("counted", self.total, time.perf_counter() - began[0])


class TotalSink(DynamicSink):
    def build(self, step_id, worker_index, worker_count):
        return Totals()


flow = Dataflow("words")
words = op.flat_map("split", op.input("lines", flow, LineSource()), str.split)
op.output("out", op.count_final("count", words, lambda word: word), TotalSink())
"""


class Bench:
    """Hosts, an operator, and the table.

    Args:
        pool: Where hosts come from.
    """

    def __init__(self, pool: DockerPool) -> None:
        self.pool = pool

    @contextmanager
    def fleet(self, count: int, disk: str | None = None) -> Iterator[tuple[list[FleetHost], Site]]:
        fleet = Fleet(self.pool, Path(tempfile.mkdtemp(prefix="fleet-bench-")))
        try:
            yield fleet(count, disk=disk), fleet.site()
        finally:
            fleet.close()


def say(row: str, reached: str, target: str, *, good: bool) -> None:
    print(f"| {row} | {target} | {reached} | {'pass' if good else 'short'} |", flush=True)


def timed(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def checked(site: Site, *words: str) -> None:
    ran = site.ctl(*words, timeout=300)
    assert ran.returncode == 0, ran.stderr


def median(work: Callable[[], object], rounds: int = ROUNDS) -> float:
    work()
    return statistics.median(timed(work) for _ in range(rounds))


def deploy_unchanged(bench: Bench) -> None:
    with bench.fleet(3) as (hosts, site):
        site.inventory(hosts)
        site.write("flow.py", ticking("one"))
        seconds = median(lambda: checked(site, "deploy", "inventory.toml", "flow.py"))
    say("deploy, unchanged, 3 hosts", f"{seconds:.2f} s", "≤ 2 s", good=seconds <= 2)


def deploy_changed(bench: Bench) -> None:
    with bench.fleet(8) as (hosts, site):
        site.inventory(hosts)
        numbers = iter(range(1000))

        def change() -> None:
            site.write("flow.py", ticking(f"release {next(numbers)}"))
            checked(site, "deploy", "inventory.toml", "flow.py")

        seconds = median(change)
        connects = median(lambda: _paramiko_connects(site, hosts))
        before = median(lambda: checked(site, "check", "inventory.toml"))
        status = median(lambda: checked(site, "status"))
    say("deploy, changed code, 8 hosts", f"{seconds:.2f} s", "≤ 3 s", good=seconds <= 3)
    ratio = before / connects
    text = f"{ratio:.2f}x ({before:.2f} s / {connects:.2f} s)"
    say("check of 8 hosts / 8 paramiko connects", text, "≤ 4x", good=ratio <= 4)
    say("status, 8 hosts", f"{status:.2f} s", "≤ 1 s", good=status <= 1)


def _paramiko_connects(site: Site, hosts: list[FleetHost]) -> None:
    program = """
import sys, threading, paramiko
def connect(address, port, user):
    client = paramiko.SSHClient()
    client.load_host_keys(sys.argv[2])
    client.connect(address, int(port), user, key_filename=sys.argv[1], allow_agent=False)
    client.exec_command("true")[1].read()
    client.close()
threads = [threading.Thread(target=connect, args=each.split(",")) for each in sys.argv[3:]]
[each.start() for each in threads]
[each.join() for each in threads]
"""
    places = [f"{host.address},{host.port},{host.user}" for host in hosts]
    words = [sys.executable, "-c", program, str(site.identity), str(site.known_hosts), *places]
    subprocess.run(words, check=True)


def help_text(bench: Bench) -> None:
    with bench.fleet(0) as (_, site):
        seconds = median(lambda: checked(site, "--help"), 9)
    say("ctl --help", f"{seconds:.2f} s", "≤ 0.25 s", good=seconds <= 0.25)


def push_files(bench: Bench) -> None:
    """200 changed files, near and far, and beside pyinfra."""
    with bench.fleet(1) as (hosts, site):
        (host,) = hosts
        site.write("flow.py", ticking("one"))
        far = Proxy((host.address, host.port), delay=0.01)
        try:
            near_s = _push(site, hosts, {}, "near.toml")
            far_at = {"ssh": far.address[0], "ssh_port": far.address[1]}
            known = f"[{far.address[0]}]:{far.address[1]} " + host.known_hosts_line.split(" ", 1)[1]
            site.known_hosts.write_text(site.known_hosts.read_text() + known)
            far_s = _push(site, hosts, far_at, "far.toml")
            peer_s = _pyinfra(site, far.address, host.user)
        finally:
            far.close()
    more = far_s - near_s
    text = f"+{more:.2f} s ({far_s:.2f} s)"
    say("200 changed files, 20 ms round trip", text, "≤ +1.5 s", good=more <= 1.5)
    if peer_s is not None:
        ratio = peer_s / far_s
        say("the same by pyinfra / ours", f"{ratio:.1f}x ({peer_s:.1f} s)", "≥ 3x", good=ratio >= 3)


def _files(site: Site, text: str) -> None:
    for number in range(200):
        site.write(f"data/{number:03}.txt", f"{text} {number}\n" * 20)


def _push(site: Site, hosts: list[FleetHost], keys: dict[str, object], file: str) -> float:
    names = {hosts[0].name: keys}
    include = {"include": ["data/*.txt"]}
    site.inventory(hosts, file=file, deployment=include, keys=names)
    numbers = iter(range(1000))

    def change() -> None:
        _files(site, f"{file} {next(numbers)}")
        checked(site, "deploy", file, "flow.py")

    return median(change, 3)


def _pyinfra(site: Site, address: tuple[str, int], user: str) -> float | None:
    """What pyinfra takes to bring the same files to the same host, by its own operation."""
    program = ENV / "bin" / "pyinfra"
    if not program.exists():
        venv.create(ENV, with_pip=True)
        pip: list[str | Path] = [ENV / "bin" / "pip", "install", "--quiet", REQUIREMENT]
        if subprocess.run(pip, check=False).returncode:
            print("pyinfra cannot be installed; left out", file=sys.stderr)
            return None
    site.write(
        "deploy.py",
        "from pyinfra.operations import files\n"
        'files.sync(src="data", dest="/home/deploy/pyinfra-data")\n',
    )
    site.write(
        "hosts.py",
        f'hosts = [("{address[0]}", {{"ssh_port": {address[1]}, "ssh_user": "{user}", '
        f'"ssh_key": "{site.identity}", "ssh_known_hosts_file": "{site.known_hosts}"}})]\n',
    )
    numbers = iter(range(1000))

    def change() -> None:
        _files(site, f"pyinfra {next(numbers)}")
        words = [str(program), "-y", "hosts.py", "deploy.py"]
        ran = subprocess.run(
            words, cwd=site.folder, env={**os.environ, **site.env}, capture_output=True, check=False
        )
        assert ran.returncode == 0, ran.stderr.decode()

    return median(change, 3)


def follow_logs(bench: Bench) -> None:
    """8 hosts with 1,000 lines a second each."""
    with bench.fleet(8) as (hosts, site):
        site.inventory(hosts)
        site.write("flow.py", CHATTY)
        checked(site, "deploy", "inventory.toml", "flow.py")
        delays: list[float] = []
        process = subprocess.Popen(
            [*CTL, "logs", "-f", "-n", "0"],
            cwd=site.folder,
            env={**os.environ, **site.env},
            stdout=subprocess.PIPE,
        )

        def gather() -> None:
            assert process.stdout is not None
            for line in process.stdout:
                _, found, rest = line.partition(b"at ")
                if found:
                    delays.append(time.time() - float(rest.split()[0]))

        reader = threading.Thread(target=gather, daemon=True)
        reader.start()
        seconds = 10.0
        deadline = time.monotonic() + 60
        while len(delays) < 8_000 and time.monotonic() < deadline:
            time.sleep(0.1)
        delays.clear()
        before = _cpu(process.pid)
        time.sleep(seconds)
        share = (_cpu(process.pid) - before) / seconds * 100
        seen = sorted(delays)
        process.terminate()
        process.wait()
        checked(site, "stop")
    rate = len(seen) / seconds
    p99 = seen[int(len(seen) * 0.99)] * 1000
    text = f"{share:.1f} % at {rate:,.0f} lines/s"
    say("logs -f of 8 hosts, part of a core", text, "≤ 15 %", good=share <= 15)
    say("logs -f of 8 hosts, p99 delay", f"{p99:.0f} ms", "≤ 150 ms", good=p99 <= 150)


def push_requirements(bench: Bench) -> None:
    """More than 300 MB of packages: brought for the first time, and there already."""
    with bench.fleet(1, disk="2g") as (hosts, site):
        (host,) = hosts
        site.write("flow.py", ticking("one"))
        site.inventory(hosts, file="without.toml", deployment={"name": "without"})
        wanted: dict[str, object] = {"name": "with", "requirements": PACKAGES}
        keys: dict[str, dict[str, object]] = {host.name: {"mesh_port": 9100}}
        site.inventory(hosts, file="with.toml", deployment=wanted, keys=keys)
        pushes = []
        for _ in range(3):
            host.run("rm", "-rf", ".hostmesh")
            layer, seconds = _first_push(site)
            pushes.append(seconds)
            checked(site, "stop", "with.toml")
        push_s, cat_s = statistics.median(pushes), _cat(site, host, layer)
        without_s, with_s = [], []
        for _ in range(ROUNDS):
            without_s.append(timed(lambda: checked(site, "deploy", "without.toml", "flow.py")))
            with_s.append(timed(lambda: checked(site, "deploy", "with.toml", "flow.py")))
    more = statistics.median(with_s) - statistics.median(without_s)
    size = layer.size / 1e6
    say(
        f"{size:,.0f} MB of packages, there already", f"+{more:.2f} s", "≤ +0.5 s", good=more <= 0.5
    )
    ratio = cat_s / push_s
    text = f"{ratio:.2f}x ({push_s:.1f} s / {cat_s:.1f} s)"
    say("their first push / ssh cat, rate", text, "≥ 0.5x", good=ratio >= 0.5)


def _first_push(site: Site) -> tuple[Layer, float]:
    """The largest layer of a deploy, and the seconds that its host took for all of them."""
    layers: list[Layer] = []

    class Watch(Silent):
        began = ended = 0.0

        def phase(self, name: str, host: str | None, state: str, detail: str = "") -> None:
            if name == "push" and host is not None:
                if state == "started":
                    self.began = time.perf_counter()
                else:
                    self.ended = time.perf_counter()

    def push(session: Session, layer: Layer, sent: Callable[[int], None]) -> None:
        layers.append(layer)
        original(session, layer, sent)

    original, watch = Session.push, Watch()
    with (
        patch.object(Session, "push", push),
        patch.dict(os.environ, site.env),
        contextlib.chdir(site.folder),
    ):
        Deployment.load("with.toml", progress=watch).deploy("flow.py")
    return max(layers, key=lambda layer: layer.size), watch.ended - watch.began


def _cat(site: Site, host: FleetHost, layer: Layer) -> float:
    """Seconds that `ssh` takes to bring the same bytes to a host that throws them away."""
    file = site.folder / "all"
    with file.open("wb") as all_:
        for block in layer.pack():
            all_.write(zlib.decompress(block.data, WINDOW))
    config = site.env["CTL_SSH_CONFIG"]
    words = ["ssh", "-F", config, "-i", str(site.identity), "-o", "ControlPath=none"]
    words += ["-p", str(host.port), f"{host.user}@{host.address}", "cat >/dev/null"]

    def cat() -> None:
        with file.open("rb") as stdin:
            subprocess.run(words, stdin=stdin, check=True)

    return median(cat, 3)


def relay_bytewax(bench: Bench) -> None:
    """A word count of Bytewax on two hosts, its mesh relayed or not."""
    with bench.fleet(2) as (hosts, site):
        site.write("flow.py", WORDS)
        seconds: dict[str, list[float]] = {"direct": [], "relay": []}
        for mesh in seconds:
            settings = {"name": mesh, "runtime": "bytewax", "mesh": mesh}
            ports = {"direct": 9000, "relay": 9100}
            keys: dict[str, dict[str, object]] = {
                host.name: {"mesh_port": ports[mesh]} for host in hosts
            }
            site.inventory(hosts, file=f"{mesh}.toml", deployment=settings, keys=keys)
        # Four busy processes and two relays on few cores vary much.
        for round_ in range(2 * ROUNDS + 2):
            for mesh, taken in seconds.items():
                ran = site.ctl("deploy", f"{mesh}.toml", "flow.py", "--follow", timeout=300)
                assert ran.returncode == 0, ran.stderr
                lines = [each.split()[-2:] for each in ran.stdout.splitlines() if "counted" in each]
                assert sum(int(total) for total, _ in lines) == 10 * 200_000 * len(hosts)
                if round_:
                    taken.append(max(float(each) for _, each in lines))
    medians = {mesh: statistics.median(taken) for mesh, taken in seconds.items()}
    ratio = medians["relay"] / medians["direct"]
    text = f"{ratio:.2f}x ({medians['relay']:.2f} s / {medians['direct']:.2f} s)"
    say("word count of Bytewax, relay / direct", text, "≤ 1.15x", good=ratio <= 1.15)


def _cpu(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


ROWS = {
    "help": help_text,
    "unchanged": deploy_unchanged,
    "changed": deploy_changed,
    "files": push_files,
    "logs": follow_logs,
    "requirements": push_requirements,
    "relay": relay_bytewax,
}


def main() -> int:
    """Measure, print, and return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.fleet", description=__doc__)
    parser.add_argument("row", nargs="*", choices=[*ROWS, []], metavar="ROW")
    chosen = parser.parse_args().row or list(ROWS)
    client = engine()
    if isinstance(client, str):
        print(client, file=sys.stderr)
        return 69
    print("| row | target | reached | |\n|---|---|---|---|")
    with this_run() as run:
        pool = DockerPool(client, run, lambda text: print(text, file=sys.stderr))
        try:
            for name in chosen:
                ROWS[name](Bench(pool))
        finally:
            pool.close()
            client.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
