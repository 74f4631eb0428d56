"""Hosts that are unprivileged sshd processes, each with an address on loopback and a home."""

import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from tests.fleet import loopback_init
from tests.fleet.hosts import Fleet, Host, Ran, completed, name_of
from tests.fleet.keys import Key
from tests.fleet.starting import in_parallel, wait_for_sshd

PORT = 2222
RUNNING = f"{sys.version_info.major}.{sys.version_info.minor}"

# The home that sshd itself goes to is that of the user.
SESSION = """\
cd
if [ "${SSH_ORIGINAL_COMMAND+given}" ]; then exec "$SHELL" -c "$SSH_ORIGINAL_COMMAND"; fi
exec "$SHELL" -l
"""


def sshd() -> Path | None:
    """The server, which is not on the path of most users."""
    found = shutil.which("sshd", path=f"{os.environ['PATH']}:/usr/sbin:/usr/local/sbin")
    return Path(found) if found else None


def unavailable() -> str | None:
    """Why there are no hosts on loopback, if so."""
    if sys.platform != "linux":
        return "no hosts on loopback: only Linux has all of 127.0.0.0/8"
    if sshd() is None:
        return "no hosts on loopback: no sshd (make system installs it)"
    return None


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


class LoopbackHost(Host):
    """An sshd with a folder of its own, run by whoever runs the tests."""

    def __init__(self, name: str, address: str, python: str, folder: Path, operator: Key) -> None:
        self.name = name
        self.address = address
        self.port = PORT
        self.user = pwd.getpwuid(os.geteuid()).pw_name
        self.python = python
        self.key = Key.new()
        self._folder = folder
        self._home = folder / "home"
        self._home.mkdir(parents=True)
        self._init: subprocess.Popen[bytes] | None = None
        private = folder / "host_key"
        private.touch(mode=0o600)
        private.write_text(self.key.private)
        (folder / "authorized_keys").write_text(operator.public + "\n")
        (folder / "session").write_text(SESSION)
        (folder / "sshd_config").write_text(
            f"ListenAddress {address}\n"
            f"Port {PORT}\n"
            f'HostKey "{private}"\n'
            f'AuthorizedKeysFile "{folder}/authorized_keys"\n'
            f'SetEnv "HOME={self._home}"\n'
            f'ForceCommand /bin/sh "{folder}/session"\n'
            "PasswordAuthentication no\n"
            "KbdInteractiveAuthentication no\n"
            # Folders of tests may be below one that others write to.
            "StrictModes no\n"
            "PidFile none\n"
            "LogLevel VERBOSE\n"
        )

    def exec(self, *words: str | Path, user: str = "deploy", check: bool = True) -> Ran:
        if user == "root" and os.geteuid():
            pytest.skip("on loopback only root is root")
        self._running()
        ran = subprocess.run(
            words,
            cwd=self._home,
            env={**os.environ, "HOME": str(self._home)},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=False,
        )
        out, err = (each.decode(errors="replace") for each in (ran.stdout, ran.stderr))
        return completed(words, ran.returncode, out, err, check=check)

    def kill(self) -> None:
        init = self._running()
        assert init.stdin
        init.stdin.close()
        init.wait(30)
        self._init = None

    def start(self) -> None:
        assert self._init is None, f"{self.name} is running"
        server = sshd()
        assert server
        words = [server, "-D", "-e", "-f", self._folder / "sshd_config"]
        with (self._folder / "sshd.log").open("ab") as log:
            self._init = subprocess.Popen(
                [sys.executable, "-I", "-S", loopback_init.__file__, *words],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
            )
        wait_for_sshd(self)

    def pause(self) -> None:
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        self._signal(signal.SIGCONT)

    def processes(self) -> list[str]:
        found = []
        for pid in loopback_init.descendants(self._running().pid):
            with suppress(OSError):
                found.append(_command_line(pid))
        return [each for each in found if each and not each.startswith((f"{sshd()} ", "sshd"))]

    def logs(self) -> str:
        parts = [self.address + ("  running" if self._init else "  exited")]
        if self._init:
            parts += self.processes()
        logs = sorted(self._home.glob(".hostmesh/deployments/*/*/log*"))
        for path, last in [*((each, 200) for each in logs), (self._folder / "sshd.log", 50)]:
            with suppress(FileNotFoundError):
                lines = path.read_text(errors="replace").splitlines()[-last:]
                parts += [f"--- {path.relative_to(self._folder)}", *lines]
        return "\n".join([*parts, ""])

    def _running(self) -> "subprocess.Popen[bytes]":
        assert self._init, f"{self.name} is switched off"
        return self._init

    def _signal(self, number: signal.Signals) -> None:
        for pid in loopback_init.descendants(self._running().pid):
            with suppress(ProcessLookupError):
                os.kill(pid, number)


def _command_line(pid: int) -> str:
    words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    return b" ".join(words).decode(errors="replace").strip()


class Loopback:
    """Makes fleets of sshd processes."""

    @property
    def python(self) -> str:
        """The version that hosts have if a test asks for none."""
        return RUNNING

    @contextmanager
    def fleet(self, pythons: Sequence[str], folder: Path, disk_mib: int | None) -> Iterator[Fleet]:
        """Have a host for each version of Python, on addresses of their own."""
        if disk_mib is not None:
            pytest.skip("hosts on loopback have no disks of their own")
        paths = {version: interpreter(version) for version in pythons}
        if os.geteuid() == 0:
            # The service of the system makes it, but need not run.
            Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
        key = Key.new()
        with _block() as block:
            hosts = tuple(
                LoopbackHost(
                    name_of(number),
                    f"{block}.{10 + number}",
                    paths[version],
                    folder / "hosts" / name_of(number),
                    key,
                )
                for number, version in enumerate(pythons)
            )
            try:
                in_parallel(LoopbackHost.start, hosts)
                fleet = Fleet(hosts, folder, "127.0.0.1", key)
                fleet.write()
                yield fleet
            finally:
                in_parallel(LoopbackHost.kill, [each for each in hosts if each._init])


@contextmanager
def _block() -> Iterator[str]:
    """The first three numbers of addresses that no other fleet has."""
    for third in range(1, 255):
        block = f"127.86.{third}"
        with suppress(OSError), socket.create_server((f"{block}.254", PORT)):
            yield block
            return
    raise RuntimeError("no addresses are free in 127.86.0.0/16")
