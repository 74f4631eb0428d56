"""Run processes from start to exit and say what they cost."""

import contextlib
import os
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

LIMIT = 300.0
SETTLE = 0.5


class MeasureError(RuntimeError):
    """A measured process failed, took too long, or came to another result than the others."""


@dataclass(frozen=True)
class Sample:
    """What one run cost.

    Args:
        wall: Seconds from the start of the first process to the exit of the last one.
        cpu: Seconds of CPU time, user and system, of all processes.
        peak: Largest resident size of any one process, in bytes.
    """

    wall: float
    cpu: float
    peak: int

    @property
    def share(self) -> float:
        """CPU time as a part of one core."""
        return self.cpu / self.wall


@dataclass(frozen=True)
class Launch:
    """Processes to start together.

    Args:
        commands: Each one's program and arguments.
        environment: All of their environment variables.
        folder: Their current directory.
        gap: Seconds from one start to the next.
    """

    commands: Sequence[Sequence[str]]
    environment: Mapping[str, str]
    folder: Path
    gap: float = 0.0


def run(launch: Launch) -> Sample:
    """Start processes and wait until all have exited.

    Raises:
        MeasureError: If one exits with another code than 0, or not within five minutes.
    """
    cpu, peak = 0.0, 0
    begin = time.perf_counter()
    with _started(launch) as (processes, log):
        for process in processes:
            _pid, status, usage = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
            cpu += usage.ru_utime + usage.ru_stime
            # Linux counts in KiB, and gives the largest of a process and its children.
            peak = max(peak, usage.ru_maxrss * 1024)
        wall = time.perf_counter() - begin
        for process in processes:
            _check(process, log)
    return Sample(wall, cpu, peak)


def watch_idle(launch: Launch, ready: Path, seconds: float) -> Sample:
    """Start one process that has nothing to do, watch its CPU time for a while, and end it.

    Args:
        launch: The process.
        ready: A file that it makes once it is up.
        seconds: How long to watch.

    Raises:
        MeasureError: If it ends by itself, or is not up within five minutes.
    """
    with _started(launch) as ([process], log):
        while not ready.exists():
            _check(process, log, up=True)
            time.sleep(0.01)
        time.sleep(SETTLE)
        begin, cpu_before = time.perf_counter(), _cpu_time(process.pid)
        time.sleep(seconds)
        wall, cpu = time.perf_counter() - begin, _cpu_time(process.pid) - cpu_before
        _check(process, log, up=True)
        return Sample(wall, cpu, _resident_peak(process.pid))


@contextlib.contextmanager
def _started(launch: Launch) -> Iterator[tuple[list[subprocess.Popen[bytes]], IO[bytes]]]:
    """The processes and the file with all that they print; both end with the block."""
    processes: list[subprocess.Popen[bytes]] = []
    with tempfile.TemporaryFile() as log:
        timer = threading.Timer(LIMIT, _kill, [processes])
        timer.start()
        try:
            for command in launch.commands:
                if processes:
                    time.sleep(launch.gap)
                process = subprocess.Popen(
                    command,
                    env=launch.environment,
                    cwd=launch.folder,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    # Its children are then of its group, and end with it.
                    start_new_session=True,
                )
                processes.append(process)
            yield processes, log
        finally:
            timer.cancel()
            _kill(processes)
            for process in processes:
                process.wait()


def _kill(processes: Sequence[subprocess.Popen[bytes]]) -> None:
    for process in processes:
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)


def _check(process: subprocess.Popen[bytes], log: IO[bytes], *, up: bool = False) -> None:
    """Raise if a process does not run, where it should be `up`, or has failed."""
    if process.poll() == (None if up else 0):
        return
    log.seek(0)
    printed = log.read()[-4000:].decode(errors="replace")
    msg = f"exit code {process.returncode} of {process.args!r}\n{printed}"
    raise MeasureError(msg)


def _cpu_time(process_id: int) -> float:
    """CPU seconds, user and system, that all threads of a process have used so far."""
    stat = Path(f"/proc/{process_id}/stat").read_text(encoding="utf-8")
    # The name of the program is in brackets and may hold spaces; see proc(5).
    fields = stat.rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _resident_peak(process_id: int) -> int:
    """Largest resident size of a process so far, in bytes."""
    status = Path(f"/proc/{process_id}/status").read_text(encoding="utf-8")
    values = dict(line.split(":", 1) for line in status.splitlines())
    return int(values["VmHWM"].split()[0]) * 1024
