"""Hosts that are unprivileged sshd processes, each with an address on loopback and a home."""

import os
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path

import pytest

from tests.fleet import old_python, on_host
from tests.fleet.hosts import FleetHost, Pool, Process, Ran, Wish
from tests.fleet.keys import Key
from tests.fleet.sshd import Sshd
from tests.fleet.starting import in_parallel

PORT = 2222
RUNNING = f"{sys.version_info.major}.{sys.version_info.minor}"


def interpreter(version: str) -> str:
    """The path of a Python of this version, or skip; no virtual environment's."""
    names = [f"python{version}"]
    if version == RUNNING:
        names.insert(0, f"{sys.base_prefix}/bin/python{version}")
    for name in names:
        with suppress(OSError, subprocess.CalledProcessError):
            words = [name, "-c", "import sys; print(sys.executable)"]
            ran = subprocess.run(words, capture_output=True, text=True, check=True)
            return ran.stdout.strip()
    pytest.skip(f"no Python {version} here")


class LoopbackHost(FleetHost):
    """An sshd with a folder of its own."""

    backend = "loopback"

    def __init__(self, name: str, python: str, sshd: Sshd) -> None:
        self.name = name
        self.address = sshd.address
        self.port = sshd.port
        self.user = sshd.user
        self.python = python
        self.home = sshd.home
        self.key = sshd.host_key
        self._sshd = sshd

    def attempt(self, *words: str | Path, user: str = "deploy") -> Ran:
        if user == "root" and os.geteuid():
            pytest.skip("on loopback only root is root")
        assert self._sshd.running, f"{self.name} is switched off"
        ran = subprocess.run(
            words,
            cwd=self.home,
            env={**os.environ, "HOME": str(self.home)},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=False,
        )
        out, err = (each.decode(errors="replace") for each in (ran.stdout, ran.stderr))
        return Ran(list(words), ran.returncode, out, err)

    def processes(self) -> list[Process]:
        own = {pid for pid, _ in self._sshd.processes()}
        rows = (row for row in on_host.processes() if row[0] in own)
        return [Process(pid, parent, user, tuple(argv)) for pid, parent, user, argv in rows]

    def kill(self) -> None:
        assert self._sshd.running, f"{self.name} is switched off"
        self._sshd.kill()

    def start(self) -> None:
        self._sshd.start()

    def pause(self) -> None:
        self._sshd.pause()

    def unpause(self) -> None:
        self._sshd.unpause()

    def restart_sshd(self) -> None:
        self._sshd.restart()

    def old_python(self) -> str:
        folder = old_python.folder()
        if folder is None:
            pytest.skip(old_python.missing())
        return f"{folder}/bin/python3"

    def remove(self) -> None:
        """Be gone; the files stay."""
        self._sshd.kill()

    def logs(self) -> str:
        parts = [self.address + ("  running" if self._sshd.running else "  exited")]
        if self._sshd.running:
            parts += [f"{pid} {' '.join(argv)}" for pid, _, _, argv in self.processes()]
        parts += [on_host.tree(self.home / ".hostmesh"), "--- sshd"]
        return "\n".join([*parts, *self._sshd.log.splitlines()[-50:], ""])


class LoopbackPool(Pool):
    """Makes a new host for each wish, which is quick."""

    operator = "127.0.0.1"

    def __init__(self, folder: Path, block: str) -> None:
        self.key = Key.new()
        self._folder = folder
        self._block = block
        self._made = count()

    def take(self, wishes: Sequence[Wish]) -> list[FleetHost]:
        if any(wish.disk for wish in wishes):
            pytest.skip("hosts on loopback have no disks of their own")
        pythons = {version: interpreter(version or RUNNING) for _, version, _, _ in wishes}
        hosts = [self._make(wish, pythons[wish.python]) for wish in wishes]
        try:
            in_parallel(LoopbackHost.start, hosts)
        except BaseException:
            self.give_back(hosts)
            raise
        return list(hosts)

    def _make(self, wish: Wish, python: str) -> LoopbackHost:
        number = next(self._made)
        # A number that comes again has long been given back.
        sshd = Sshd(
            self._folder / str(number) / wish.name,
            f"{self._block}.{number % 250 + 2}",
            PORT,
            authorized=[self.key.public],
            options=wish.options,
        )
        return LoopbackHost(wish.name, python, sshd)

    def give_back(self, hosts: Sequence[FleetHost]) -> None:
        in_parallel(_remove, hosts)


def _remove(host: FleetHost) -> None:
    assert isinstance(host, LoopbackHost)
    host.remove()


@contextmanager
def own_block() -> Iterator[str]:
    """The first three numbers of addresses that no other run of the tests has."""
    for third in range(1, 255):
        block = f"127.86.{third}"
        with suppress(OSError), socket.create_server((f"{block}.254", PORT)):
            yield block
            return
    raise RuntimeError("no addresses are free in 127.86.0.0/16")
