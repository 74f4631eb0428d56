"""What tests know of a host, whatever it is made of."""

import subprocess
from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Literal, NamedTuple, Never

import pytest

from tests.fleet.keys import Key
from tests.fleet.sshd import known_hosts_line

Ran = subprocess.CompletedProcess[str]

NAMES = (
    *("alpha", "beta", "gamma", "delta", "epsilon", "zeta", "eta", "theta", "iota", "kappa"),
    *("lambda", "mu", "nu", "xi", "omicron", "pi", "rho", "sigma", "tau", "upsilon", "phi"),
    *("chi", "psi", "omega"),
)


def name_of(number: int) -> str:
    """The name of a host by its place in the fleet, counted from 0."""
    return NAMES[number] if number < len(NAMES) else f"host{number + 1}"


class Process(NamedTuple):
    """A process, by the numbers that it has on its host."""

    pid: int
    parent: int
    user: str
    argv: tuple[str, ...]


class FleetHost(ABC):
    """A machine with sshd; its verbs do to it what befalls machines.

    What a kind of host cannot do skips the test.
    """

    backend: Literal["docker", "loopback"]
    name: str
    address: str
    """What SSH and the peers of its mesh dial."""
    port: int
    """That of its sshd."""
    user: str
    """Who logs in: `deploy` in a container, on loopback whoever runs the tests."""
    python: str
    """The interpreter as one writes it into an inventory."""
    home: Path
    """The home of `user`."""
    key: Key
    """The host key."""

    @property
    def known_hosts_line(self) -> str:
        """Its line in a file of known hosts, with its end."""
        return known_hosts_line(self.address, self.port, self.key)

    def run(self, *words: str | Path, user: str = "deploy", check: bool = True) -> str:
        """Run a command on it, past SSH, in the user's home; return its output.

        With `check` it has to succeed. `user` is `deploy` or `root`.
        """
        ran = self.attempt(*words, user=user)
        complaint = f"{words} exited with {ran.returncode}:\n{ran.stdout}{ran.stderr}"
        assert not check or ran.returncode == 0, complaint
        return ran.stdout

    @abstractmethod
    def attempt(self, *words: str | Path, user: str = "deploy") -> Ran:
        """The same for a command that may fail, with all that it tells."""

    def read(self, path: str | Path, user: str = "deploy") -> str:
        """The text of a file; a relative path begins at the home."""
        return self.run("cat", path, user=user)

    def write(
        self, path: str | Path, text: str, mode: int = 0o644, *, user: str = "deploy"
    ) -> None:
        """Write a file and the folders that it needs."""
        script = 'mkdir -p "$(dirname "$1")" && printf %s "$2" >"$1" && chmod "$3" "$1"'
        self.run("sh", "-c", script, "sh", path, text, f"{mode:o}", user=user)

    @abstractmethod
    def processes(self) -> list[Process]:
        """All its processes but sshd's, sorted by number, and what watches over them."""

    @abstractmethod
    def kill(self) -> None:
        """Switch its power off: all its processes end at once. Its files stay."""

    @abstractmethod
    def start(self) -> None:
        """Switch it on again and wait for its sshd."""

    @abstractmethod
    def pause(self) -> None:
        """Freeze all its processes; the kernel still accepts connections for them."""

    @abstractmethod
    def unpause(self) -> None:
        """End a pause."""

    @abstractmethod
    def restart_sshd(self) -> None:
        """Have its sshd start anew; sessions are lost, what they have started goes on."""

    @abstractmethod
    def logs(self) -> str:
        """Its state, its processes, the log of its sshd and all small files below ~/.hostmesh."""

    @abstractmethod
    def old_python(self) -> str:
        """A Python that is too old, as one writes it into an inventory."""

    def cut(self) -> None:
        """Take it off the network: it loses its address, and packets to it vanish."""
        self._needs_isolation("a network of its own")

    def reconnect(self) -> None:
        """End a cut; it has its address again."""
        self._needs_isolation("a network of its own")

    def drop(
        self,
        *,
        port: int | None = None,
        from_: "FleetHost | str | None" = None,
        both_ways: bool = False,
    ) -> None:
        """Lose packets silently, until `undrop`.

        Those that arrive here for a TCP port, from a host or an address, if given; `both_ways`
        those that leave for the latter, too. With neither, all packets, those that leave from
        here, too; it still reaches itself. More drops add up.
        """
        self._needs_isolation("a firewall of its own")

    def undrop(self) -> None:
        """Lose no packets any more."""
        self._needs_isolation("a firewall of its own")

    def fill_disk(self) -> None:
        """Leave no byte free below the home of deploy; for fleets with `disk`."""
        self._needs_isolation("a disk of its own")

    def free_disk(self) -> None:
        """Undo `fill_disk`."""
        self._needs_isolation("a disk of its own")

    def _needs_isolation(self, what: str) -> Never:
        pytest.skip(f"{self.name} is not isolated: it has no {what.removeprefix('a ')}")


class Wish(NamedTuple):
    """What a test asks of a host.

    `python` is a minor version, or None for that of the backend; `disk` is a size as tmpfs takes
    it, or None; `options` are lines of sshd_config.
    """

    name: str
    python: str | None = None
    disk: str | None = None
    options: tuple[str, ...] = ()


class Pool(ABC):
    """Hands out hosts of one backend, and takes them back."""

    operator: str
    """The address that hosts see who runs the tests come from."""
    key: Key
    """What logs in on all hosts."""

    @abstractmethod
    def take(self, wishes: Sequence[Wish]) -> list[FleetHost]:
        """Have a clean host for each wish."""

    @abstractmethod
    def give_back(self, hosts: Sequence[FleetHost]) -> None:
        """End all that runs on them and empty their homes."""
