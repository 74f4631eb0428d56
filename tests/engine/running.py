"""Run real processes of a cluster, one by one, and watch them."""

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

DEADLINE = 30.0


def eventually(condition: Callable[[], object], what: str, seconds: float = DEADLINE) -> None:
    """Poll a condition until it holds; fail after a deadline."""
    until = time.monotonic() + seconds
    nap = threading.Event()
    while not condition():
        assert time.monotonic() < until, f"{what} did not come true in {seconds} s"
        nap.wait(0.01)


def free_ports(count: int) -> list[int]:
    """Loopback ports that nobody listens on."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


def addresses(ports: list[int]) -> str:
    return ";".join(f"127.0.0.1:{port}" for port in ports)


class Running:
    """A process and what it has printed so far."""

    def __init__(self, words: list[str], env: dict[str, str], folder: Path) -> None:
        self.process = subprocess.Popen(
            words,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**os.environ, "ENGINE_LOG_FORMAT": "text", **env},
            cwd=folder,
            text=True,
        )
        self._out: list[str] = []
        self._err: list[str] = []
        self._threads = [
            threading.Thread(target=self._gather, args=(pipe, lines), daemon=True)
            for pipe, lines in ((self.process.stdout, self._out), (self.process.stderr, self._err))
        ]
        for thread in self._threads:
            thread.start()

    def _gather(self, pipe: Iterator[str], lines: list[str]) -> None:
        for line in pipe:
            lines += [line]

    @property
    def out(self) -> str:
        return "".join(self._out)

    @property
    def err(self) -> str:
        return "".join(self._err)

    def prints(self, text: str, seconds: float = DEADLINE) -> None:
        """Wait until it has printed a text."""
        eventually(lambda: text in self.out + self.err or self.ended, f"{text!r}", seconds)
        assert text in self.out + self.err, f"{text!r} is not in:\n{self.out}{self.err}"

    def send(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    @property
    def ended(self) -> bool:
        return self.process.poll() is not None

    def code(self, seconds: float = DEADLINE) -> int:
        """Wait for its end."""
        try:
            code = self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"still running after {seconds} s:\n{self.err}") from None
        for thread in self._threads:
            thread.join()
        for pipe in (self.process.stdout, self.process.stderr):
            if pipe is not None:
                pipe.close()
        return code

    @property
    def peak_mib(self) -> float:
        """Its peak memory so far."""
        for line in Path(f"/proc/{self.process.pid}/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) / 1024
        raise AssertionError("the process has ended")


class Launcher:
    """Starts processes in a folder and ends those that are left."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.running: list[Running] = []

    def write(self, name: str, text: str) -> Path:
        path = self.folder / name
        path.write_text(text)
        return path

    def python(self, *words: object, **env: str) -> Running:
        running = Running([sys.executable, *map(str, words)], env, self.folder)
        self.running.append(running)
        return running

    def member(
        self, flow: Path, process: int, ports: list[int], *flags: object, **env: str
    ) -> Running:
        """Start one process of a cluster."""
        words = ["-P", "-m", "engine.run", flow, "-i", process, "-a", addresses(ports)]
        return self.python(*words, *flags, **{"ENGINE_LOG_LEVEL": "DEBUG", **env})

    def cluster(self, flow: Path, count: int, *flags: object, **env: str) -> list[Running]:
        """Start all processes of a cluster."""
        ports = free_ports(count)
        return [self.member(flow, each, ports, *flags, **env) for each in range(count)]


@contextmanager
def launcher(folder: Path) -> Iterator[Launcher]:
    started = Launcher(folder)
    try:
        yield started
    finally:
        for each in started.running:
            if not each.ended:
                each.process.kill()
            each.code()
