"""Local clusters: what is relayed, how they end, and that nothing is left behind."""

import array
import fcntl
import os
import pty
import re
import signal
import subprocess
import sys
import termios
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.engine.running import Launcher, Running, eventually, launcher
from tests.engine.test_cluster_failures import FAILING, QUIET

PRELUDE = """
import os, signal, subprocess, sys, threading
process = int(sys.argv[sys.argv.index("-i") + 1]) if "-i" in sys.argv else 0
def wait():
    print("waiting", flush=True)
    threading.Event().wait()
"""

MARK = "HOSTMESH_TEST_MARK"


class Cluster:
    """Starts launchers whose processes, and theirs, can be told from all others."""

    def __init__(self, started: Launcher) -> None:
        self._started = started
        self._mark = uuid.uuid4().hex
        self.folder = started.folder

    def flow(self, text: str) -> None:
        self._started.write("flow.py", PRELUDE + text)

    def launch(self, processes: int, *flags: object, **env: str) -> Running:
        words = ("-m", "engine.run", "flow.py", "-p", processes, *flags)
        return self._started.python(*words, **{MARK: self._mark, **env})

    def python(self, *words: object) -> Running:
        return self._started.python(*words, **{MARK: self._mark})

    @property
    def pids(self) -> list[int]:
        """All processes that have inherited the mark and run."""
        found = []
        for folder in Path("/proc").iterdir():
            try:
                marked = f"{MARK}={self._mark}" in (folder / "environ").read_text(errors="replace")
                state = (folder / "stat").read_text().rpartition(")")[2].split()[0]
            except (OSError, NotADirectoryError):
                continue
            if marked and state != "Z":
                found.append(int(folder.name))
        return sorted(found)

    def member(self, process: int) -> int:
        """The pid of a process of the cluster."""
        for pid in self.pids:
            words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
            if b"-i" in words and words[words.index(b"-i") + 1] == str(process).encode():
                return pid
        raise AssertionError(f"no process {process}")

    def all_end(self) -> None:
        eventually(lambda: not self.pids, "the end of all processes", 10)


@pytest.fixture
def cluster(tmp_path) -> Iterator[Cluster]:
    with launcher(tmp_path) as started:
        cluster = Cluster(started)
        try:
            yield cluster
            cluster.all_end()
        finally:
            for pid in cluster.pids:
                os.kill(pid, signal.SIGKILL)


def waiting(running: Running, count: int) -> None:
    all_say(running, "waiting", count)


def all_run(running: Running, count: int) -> None:
    all_say(running, "running", count)


def all_say(running: Running, word: str, count: int) -> None:
    try:
        eventually(lambda: running.out.count(word) == count or running.ended, f"all {word}", 20)
    except AssertionError as error:
        raise AssertionError(f"{error}:\n{running.out}\n{running.err}") from None
    assert not running.ended, running.err


def test_lines_stay_whole_and_on_their_stream(cluster):
    cluster.flow(
        """
for n in range(3000):
    sys.stdout.write(f"{process}:"); sys.stdout.flush()
    sys.stdout.write(f"{n}:" + "x" * 50 + "\\n")
print(f"to stderr from {process}", file=sys.stderr)
print(f"stdin: {sys.stdin.read()!r}", end="")
sys.stdout.flush()
os._exit(0)
"""
    )
    running = cluster.launch(2)
    assert running.code() == 0
    lines = running.out.splitlines()
    for process in (0, 1):
        mine = [line for line in lines if line.startswith(f"{process}:")]
        assert mine == [f"{process}:{n}:{'x' * 50}" for n in range(3000)]
        assert f"to stderr from {process}\n" in running.err
    assert lines.count("stdin: ''") == 2
    assert len(lines) == 6002


def test_a_prefix_is_padded_and_coloured_on_a_terminal_only(cluster, monkeypatch):
    from engine.launch import _prefix, _takes_colour

    assert _prefix(3, 11, colour=False) == b" 3 | "
    assert _prefix(10, 11, colour=False) == b"10 | "
    assert _prefix(0, 2, colour=True) == b"\x1b[36m0 |\x1b[0m "
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    ours, theirs = pty.openpty()
    try:
        assert _takes_colour(theirs)
        monkeypatch.setenv("NO_COLOR", "1")
        assert not _takes_colour(theirs)
    finally:
        os.close(ours)
        os.close(theirs)


def test_a_failure_of_user_code_is_printed_once_and_last(cluster):
    cluster.flow(FAILING)
    running = cluster.launch(2)
    assert running.code() == 70
    assert running.err.count("error: flow failed") == 1
    assert "LookupError: item twenty is bad\n" in running.err
    assert re.search(r"error: flow failed in step 'endless.check' on worker \d", running.err)
    assert running.err.endswith("exit 70\n")


def test_the_failure_of_an_only_process_starts_a_line(cluster, tmp_path):
    """What a single process writes is passed on as it comes, whole lines or not."""
    cluster.flow("sys.stderr.write('no end'); sys.stderr.flush(); os._exit(7)\n")
    (tmp_path / "only.py").write_text(
        "import sys\nfrom engine.launch import launch\nfrom engine.local import LocalCluster\n"
        "sys.exit(launch(LocalCluster('flow.py', 1)))\n"
    )
    running = cluster.python("only.py")
    assert running.code() == 7
    assert running.err.startswith("no end\nerror: flow failed in process 0")


@pytest.mark.parametrize("code", [7, 65])
def test_a_process_that_ends_before_it_joins_ends_the_cluster(cluster, code):
    cluster.flow(QUIET + f"\nif process == 1:\n    os._exit({code})\n")
    running = cluster.launch(3)
    assert running.code() == code
    assert re.search(rf"pid \d+ ended with exit code {code} and did not say why", running.err)


def test_a_process_that_ends_well_before_it_joins_ends_the_cluster(cluster):
    cluster.flow(QUIET + "\nif process == 1:\n    os._exit(0)\n")
    running = cluster.launch(2)
    assert running.code() == 0
    assert "hostmesh: process 1 has ended before the others; they are stopped\n" in running.err


def test_a_killed_process_is_named_with_pid_and_signal(cluster):
    cluster.flow(QUIET)
    running = cluster.launch(2)
    all_run(running, 2)
    pid = cluster.member(1)
    os.kill(pid, signal.SIGKILL)
    assert running.code() == 74
    assert f"pid {pid} killed by SIGKILL" in running.err
    assert "lost process 1 at 127.0.0.1:" in running.err
    assert running.err.endswith("exit 74\n")


def test_the_others_are_killed_if_they_do_not_end(cluster):
    cluster.flow(
        """
signal.signal(signal.SIGTERM, signal.SIG_IGN)
if process == 0:
    wait()
os._exit(9)
"""
    )
    running = cluster.launch(2)
    assert running.code() == 9
    assert "hostmesh: process 0 does not end; it is killed\n" in running.err


@pytest.mark.parametrize(
    ("number", "code"),
    [(signal.SIGINT, 130), (signal.SIGTERM, 0), (signal.SIGHUP, 0)],
    ids=["SIGINT", "SIGTERM", "SIGHUP"],
)
class TestSignals:
    def test_while_it_runs(self, cluster, number, code):
        cluster.flow(QUIET)
        running = cluster.launch(2)
        all_run(running, 2)
        running.send(number)
        assert running.code() == code
        assert "error" not in running.err

    def test_while_it_loads(self, cluster, number, code):
        cluster.flow("wait()")
        running = cluster.launch(2)
        waiting(running, 2)
        running.send(number)
        assert running.code() == code
        assert running.err == ""

    def test_while_processes_start(self, cluster, number, code):
        cluster.flow("wait()")
        running = cluster.launch(2)
        eventually(lambda: len(cluster.pids) > 1 or running.ended, "a process starts")
        running.send(number)
        assert running.code() == code
        assert running.err == ""


def test_a_second_signal_ends_all_at_once(cluster):
    cluster.flow("signal.signal(signal.SIGINT, lambda *_: print('no', flush=True))\nwait()")
    running = cluster.launch(2)
    waiting(running, 2)
    running.send(signal.SIGINT)
    running.prints("no")
    assert running.out.count("no") == 1
    running.send(signal.SIGINT)
    assert running.code(5) == 130


@pytest.mark.parametrize(
    "busy",
    [
        "wait()",
        "print('waiting', flush=True)\npow(3, 10**9)",
        "p = subprocess.Popen([sys.executable, '-c', 'input()'], stdin=subprocess.PIPE)\nwait()",
    ],
    ids=["idle", "C code holds the GIL", "with a child"],
)
def test_a_killed_launcher_leaves_nothing_behind(cluster, busy):
    cluster.flow(busy)
    running = cluster.launch(2)
    waiting(running, 2)
    assert len(cluster.pids) >= 3
    running.send(signal.SIGKILL)
    cluster.all_end()


def test_a_launcher_killed_while_it_starts_leaves_nothing_behind(cluster):
    cluster.flow("wait()")
    running = cluster.launch(3)
    eventually(lambda: len(cluster.pids) > 1, "a process starts")
    running.send(signal.SIGKILL)
    cluster.all_end()


def test_what_user_code_has_started_ends_with_its_process(cluster):
    cluster.flow(
        """
subprocess.Popen([sys.executable, "-c", "import threading; threading.Event().wait()"])
os._exit(0)
"""
    )
    running = cluster.launch(2)
    assert running.code() == 0
    cluster.all_end()


def test_a_pipe_held_by_a_daemon_does_not_hold_up_the_end(cluster):
    cluster.flow(
        """
if process == 0:
    subprocess.Popen([sys.executable, "-c", "import time; time.sleep(30)"], start_new_session=True)
print("last words", flush=True)
os._exit(3)
"""
    )
    running = cluster.launch(2)
    eventually(lambda: running.ended, "the end of the launcher", 10)
    for pid in cluster.pids:
        os.kill(pid, signal.SIGKILL)
    assert running.code() == 3
    assert running.out == "last words\nlast words\n"


def test_a_reader_that_has_enough_ends_the_cluster_in_order(cluster):
    cluster.flow("while True:\n    print('x' * 1000)\n")
    env = {**os.environ, MARK: cluster._mark}
    words = [sys.executable, "-m", "engine.run", "-p", "2", "flow.py"]
    with subprocess.Popen(
        words, env=env, cwd=cluster.folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout
        assert process.stderr
        assert process.stdout.read(5) == b"xxxxx"
        process.stdout.close()
        assert process.wait(30) == 0
        assert process.stderr.read() == b""


def test_a_full_disk_ends_the_cluster(cluster):
    cluster.flow("print('to a full disk')\nwait()")
    env = {**os.environ, MARK: cluster._mark}
    words = [sys.executable, "-m", "engine.run", "-p", "2", "flow.py"]
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(
            words,
            env=env,
            cwd=cluster.folder,
            stdout=full,
            stderr=subprocess.PIPE,
            timeout=60,
            check=False,
        )
    assert done.stderr == b"error: cannot write to stdout: No space left on device\n"
    assert done.returncode == 73


def unread(fd: int) -> int:
    """Bytes that wait in a pipe."""
    size = array.array("i", [0])
    fcntl.ioctl(fd, termios.FIONREAD, size)
    return size[0]


@pytest.mark.parametrize("line", ["'x' * 1_000_000", "'x\\n' * 500_000"], ids=["endless", "short"])
def test_memory_is_bounded_while_nobody_reads(cluster, line):
    cluster.flow(
        f"""
text = {line}
for n in range(64):
    sys.stdout.write(text); sys.stdout.flush()
"""
    )
    env = {**os.environ, MARK: cluster._mark}
    words = [sys.executable, "-m", "engine.run", "-p", "2", "flow.py"]
    with subprocess.Popen(words, env=env, cwd=cluster.folder, stdout=subprocess.PIPE) as process:
        assert process.stdout
        out = process.stdout.fileno()
        eventually(lambda: unread(out) >= 60_000, "the pipe is full")
        got = 0
        peak = 0
        while chunk := os.read(out, 1 << 16):
            got += chunk.count(b"x")
            status = Path(f"/proc/{process.pid}/status").read_text()
            if peaks := re.search(r"VmHWM:\s+(\d+) kB", status):
                peak = max(peak, int(peaks[1]))
        process.wait(30)
        assert got == 2 * 64 * len(eval(line).replace("\n", ""))
        assert peak < 60_000


def test_processes_do_not_inherit_what_is_for_the_launcher(cluster):
    cluster.flow(
        """
print(sorted(name for name in os.environ if name.startswith("ENGINE_")))
sys.stdout.flush()
os._exit(0)
"""
    )
    running = cluster.launch(2, ENGINE_WORKERS_PER_PROCESS="2", ENGINE_EPOCH_INTERVAL="3")
    assert running.code() == 0
    assert running.out == "['ENGINE_EPOCH_INTERVAL', 'ENGINE_LOG_FORMAT']\n" * 2


def test_workers_of_all_processes_run(cluster):
    cluster.flow(QUIET)
    running = cluster.launch(2, "-w", "2")
    all_run(running, 4)
    running.send(signal.SIGTERM)
    assert running.code() == 0
