"""What tests know of a host and of a fleet, whatever they are made of."""

import json
import subprocess
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Never

import pytest

from tests.fleet.keys import Key

Direction = Literal["in", "out", "both"]
Ran = subprocess.CompletedProcess[str]

NAMES = (
    *("alpha", "beta", "gamma", "delta", "epsilon", "zeta", "eta", "theta", "iota", "kappa"),
    *("lambda", "mu", "nu", "xi", "omicron", "pi", "rho", "sigma", "tau", "upsilon", "phi"),
    *("chi", "psi", "omega"),
)


def name_of(number: int) -> str:
    """The name of a host by its place in the fleet, counted from 0."""
    return NAMES[number] if number < len(NAMES) else f"host{number + 1}"


class Host(ABC):
    """A machine with sshd; its verbs do to it what befalls machines.

    What a kind of host cannot do skips the test.
    """

    name: str
    address: str
    port: int
    user: str
    python: str
    """The interpreter as one writes it into an inventory."""
    key: Key
    """The host key."""

    @abstractmethod
    def exec(self, *words: str | Path, user: str = "deploy", check: bool = True) -> Ran:
        """Run a command on it, past SSH; with `check` it has to succeed."""

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
    def resume(self) -> None:
        """End a pause."""

    @abstractmethod
    def processes(self) -> list[str]:
        """The command lines of all its processes but sshd's and what watches over them."""

    @abstractmethod
    def logs(self) -> str:
        """Its state, its processes, the log of its sshd and all logs below ~/.hostmesh."""

    def cut_off(self) -> None:
        """Take it off the network: it loses its address, and packets to it vanish."""
        self._needs_isolation("a network of its own")

    def reconnect(self) -> None:
        """End a cut; it has its address again."""
        self._needs_isolation("a network of its own")

    def drop_packets(
        self,
        direction: Direction = "both",
        *,
        peer: "Host | str | None" = None,
        port: int | None = None,
    ) -> None:
        """Lose all packets that arrive here or leave from here, silently.

        Only those of one peer (a host or an address), and only TCP to and from one port of this
        host, if given. More drops add up.
        """
        self._needs_isolation("a firewall of its own")

    def pass_packets(self) -> None:
        """Lose no packets any more."""
        self._needs_isolation("a firewall of its own")

    def fill_disk(self) -> None:
        """Leave no byte free below the home of deploy; for fleets with `disk_mib`."""
        self._needs_isolation("a disk of its own")

    def free_disk(self) -> None:
        """Undo `fill_disk`."""
        self._needs_isolation("a disk of its own")

    def shift_clock(self, seconds: int) -> None:
        """Set off the clock of processes that start from now on; 0 sets it right."""
        self._needs_isolation("a clock of its own")

    def _needs_isolation(self, what: str) -> Never:
        pytest.skip(f"{self.name} is not isolated: it has no {what.removeprefix('a ')}")


@dataclass(frozen=True)
class Fleet:
    """Hosts, and what their operator has: `folder` with keys, known hosts and SSH's settings.

    `operator` is the address that hosts see him come from.
    """

    hosts: tuple[Host, ...]
    folder: Path
    operator: str
    key: Key

    def __getitem__(self, name: str) -> Host:
        (found,) = (host for host in self.hosts if host.name == name)
        return found

    @property
    def identity(self) -> Path:
        """His private key."""
        return self.folder / "id_ed25519"

    @property
    def known_hosts(self) -> Path:
        """The keys of all hosts, by address and port."""
        return self.folder / "known_hosts"

    @property
    def ssh_config(self) -> Path:
        """Settings, for `ssh -F`, that hold for each host by name and by address."""
        return self.folder / "ssh_config"

    def write(self) -> None:
        """Write the files of the operator."""
        self.identity.touch(mode=0o600)
        self.identity.write_text(self.key.private)
        self.known_hosts.write_text("".join(map(_known, self.hosts)))
        self.ssh_config.write_text("".join(map(self._settings, self.hosts)))

    def _settings(self, host: Host) -> str:
        return (
            f"Host {host.name} {host.address}\n"
            f"    HostName {host.address}\n"
            f"    Port {host.port}\n"
            f"    User {host.user}\n"
            f'    IdentityFile "{self.identity}"\n'
            f"    IdentitiesOnly yes\n"
            f'    UserKnownHostsFile "{self.known_hosts}"\n'
            f"    GlobalKnownHostsFile /dev/null\n"
            f"    StrictHostKeyChecking yes\n"
        )

    def inventory(
        self,
        deployment: Mapping[str, object] | None = None,
        hosts: Mapping[str, Mapping[str, object]] | None = None,
    ) -> str:
        """An inventory of all hosts, to be read with these SSH settings.

        `deployment` adds keys to the deployment, `hosts` to hosts by their names.
        """
        tables = [_table("[deployment]", {"name": "flights", **(deployment or {})})]
        for host in self.hosts:
            keys = {
                "name": host.name,
                "ssh": host.address,
                "ssh_port": host.port,
                "address": host.address,
                "user": host.user,
                "identity": self.identity,
                "python": host.python,
                **(hosts or {}).get(host.name, {}),
            }
            tables.append(_table("[[hosts]]", keys))
        return "\n".join(tables)

    def ssh(self, host: Host, command: str, user: str | None = None) -> Ran:
        """Run a command on a host with OpenSSH's client; for text in, text out."""
        return subprocess.run(
            [
                *("ssh", "-F", self.ssh_config, "-o", "BatchMode=yes", "-o", "ConnectTimeout=5"),
                *("-l", user or host.user, host.address, command),
            ],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )


def _known(host: Host) -> str:
    where = host.address if host.port == 22 else f"[{host.address}]:{host.port}"
    return f"{where} {host.key.public}\n"


def _table(header: str, keys: Mapping[str, object]) -> str:
    return "\n".join([header, *(f"{key} = {_toml(value)}" for key, value in keys.items()), ""])


def _toml(value: object) -> str:
    match value:
        case str() | Path():
            # TOML reads JSON's escapes, but not halves of characters.
            return json.dumps(str(value), ensure_ascii=False)
        case bool() | int():
            return json.dumps(value)
        case Mapping():
            pairs = (f"{_toml(str(key))} = {_toml(each)}" for key, each in value.items())
            return f"{{ {', '.join(pairs)} }}"
        case Sequence():
            return f"[{', '.join(map(_toml, value))}]"
    raise TypeError(f"{value!r} is nothing that an inventory holds")


def completed(words: Sequence[str | Path], code: int, out: str, err: str, *, check: bool) -> Ran:
    """The result of a command; with `check` it has to be a success."""
    assert not check or code == 0, f"{words} exited with {code}:\n{out}{err}"
    return Ran(list(words), code, out, err)
