"""How `ssh` would reach a host, asked of `ssh -G`, so that all of ssh_config applies."""

import os
import pwd
import re
import socket
import subprocess
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ctl.errors import InstallationError, InventoryError
from ctl.inventory.model import Host

_SECONDS = 20
_MOST_HOPS = 8
_HOP = re.compile(r"(?:ssh://)?(?:(?P<user>.+)@)?(?P<host>\[[^\]]+\]|[^:]+)(?::(?P<port>\d+))?/?")

Values = Mapping[str, list[str]]
"""Lower-case names of settings, each with the values of its lines."""


@dataclass(frozen=True)
class Hop:
    """An SSH server on the way to a host, or the host itself.

    Args:
        name: What `ssh` is called with.
        hostname: What is dialled.
        port: TCP port.
        user: Who logs in.
        alias: Name of its key among the known hosts, if not that of the host.
        identities: Files of private keys; those that do not exist are passed over.
        identities_only: Whether of an agent's keys only those of `identities` are tried.
        agent: Socket of the agent, if there is one.
        user_known_hosts: Files of known hosts; new keys go to the first.
        global_known_hosts: Further ones, of the system.
        hash_known_hosts: Whether the names of new entries are hashed.
        connect_timeout: Seconds, if set.
    """

    name: str
    hostname: str
    port: int
    user: str
    alias: str | None
    identities: tuple[Path, ...]
    identities_only: bool
    agent: str | None
    user_known_hosts: tuple[Path, ...]
    global_known_hosts: tuple[Path, ...]
    hash_known_hosts: bool
    connect_timeout: float | None

    @property
    def key_name(self) -> str:
        """The name of its key among the known hosts.

        As OpenSSH has it, an alias goes without the port.
        """
        return self.alias or with_port(self.hostname, self.port)

    def __str__(self) -> str:
        """Its name, and what that stands for."""
        place = self.hostname if self.port == 22 else f"{self.hostname} port {self.port}"
        return place if self.name == self.hostname else f"{self.name} ({place})"


def with_port(hostname: str, port: int) -> str:
    """A host as files of known hosts have it.

    >>> with_port("alpha", 22), with_port("alpha", 2222)
    ('alpha', '[alpha]:2222')
    """
    return hostname if port == 22 else f"[{hostname}]:{port}"


def hostname_of(host: Host, config: Path | None = None) -> str:
    """What the settings of `ssh` make of a host's name; that of this machine if it is local.

    Args:
        host: Of the inventory.
        config: File to read in place of the user's and the system's.

    Raises:
        InventoryError: If `ssh` refuses its settings.
        InstallationError: If there is no `ssh`.
    """
    if host.transport == "local":
        return "127.0.0.1"
    name = host.ssh or host.name
    return _one(_ask(name, host.user, host.ssh_port, config), "hostname", name)


def route(host: Host, config: Path | None = None) -> tuple[Hop, ...]:
    """The servers to go through, one inside of the other; the last is the host.

    Args:
        host: Of the inventory; its `user` and `ssh_port` win.
        config: File to read in place of the user's and the system's.

    Raises:
        InventoryError: If `ssh` refuses its settings, or they cannot be followed here.
        InstallationError: If there is no `ssh`.
    """
    return _route(host.ssh or host.name, host.user, host.ssh_port, config, ())


def _route(
    name: str, user: str | None, port: int | None, config: Path | None, behind: tuple[str, ...]
) -> tuple[Hop, ...]:
    if len(behind) > _MOST_HOPS:
        msg = f"ProxyJump of {behind[0]} leads in a circle: {' -> '.join(behind[:4])} -> ..."
        raise InventoryError(msg, f"exempt the bastion: `Host * !{name}`, or ProxyJump none for it")
    values = _ask(name, user, port, config)
    jumps = [jump for jump in _jumps(values) if jump != "none"]
    before: tuple[Hop, ...] = ()
    for number, jump in enumerate(jumps):
        found = _HOP.fullmatch(jump)
        if found is None:
            msg = f"ProxyJump of {name} has {jump!r}, which is no [user@]host[:port]"
            raise InventoryError(msg, "check ~/.ssh/config")
        where = found["host"].strip("[]"), found["user"], int(found["port"] or 0) or None
        # As with `ssh`: what the first one jumps over itself counts, that of the others does not.
        if number == 0:
            before = _route(*where, config, (*behind, name))
        else:
            before = (*before, read(where[0], _ask(*where, config)))
    return (*before, read(name, values))


def read(name: str, values: Values) -> Hop:
    """Understand what `ssh -G` says.

    Args:
        name: What it was called with.
        values: What it has printed.

    Raises:
        InventoryError: If it cannot be followed here.
    """
    if _last(values, "proxycommand", "none") != "none":
        msg = f"the settings of `ssh` for {name} have a ProxyCommand, which ctl does not run"
        raise InventoryError(msg, "use ProxyJump, or ProxyCommand none for this host")
    if _last(values, "revokedhostkeys", "none") != "none":
        msg = f"the settings of `ssh` for {name} have RevokedHostKeys, which ctl does not read"
        raise InventoryError(msg, "put @revoked lines into the file of known hosts instead")
    hostname, user = _one(values, "hostname", name), _one(values, "user", name)
    port = int(_one(values, "port", name))
    alias = _last(values, "hostkeyalias", "none")
    timeout = _last(values, "connecttimeout", "none")
    tokens = {
        "%": "%",
        "d": _home(),
        "h": hostname,
        "i": str(os.getuid()),
        "k": hostname if alias == "none" else alias,
        "l": socket.gethostname(),
        "L": socket.gethostname().partition(".")[0],
        "n": name,
        "p": str(port),
        "r": user,
        "u": pwd.getpwuid(os.getuid()).pw_name,
    }

    def files(key: str) -> tuple[Path, ...]:
        names = [each for line in values.get(key, ()) for each in line.split() if each != "none"]
        return tuple(Path(_expand(each, tokens)) for each in names)

    identities = [each for each in values.get("identityfile", ()) if each != "none"]
    return Hop(
        name=name,
        hostname=hostname,
        port=port,
        user=user,
        alias=None if alias == "none" else alias,
        identities=tuple(Path(_expand(each, tokens)) for each in identities),
        identities_only=_last(values, "identitiesonly", "no") == "yes",
        agent=_agent(_last(values, "identityagent", "SSH_AUTH_SOCK"), tokens),
        user_known_hosts=files("userknownhostsfile"),
        global_known_hosts=files("globalknownhostsfile"),
        hash_known_hosts=_last(values, "hashknownhosts", "no") == "yes",
        connect_timeout=None if timeout == "none" else float(timeout),
    )


def parse(text: str) -> Values:
    """Take the lines apart that `ssh -G` prints."""
    values: dict[str, list[str]] = defaultdict(list)
    for line in text.splitlines():
        key, _, value = line.partition(" ")
        values[key.lower()].append(value.strip())
    return values


def _ask(name: str, user: str | None, port: int | None, config: Path | None) -> Values:
    command = ["ssh", "-G", "-T"]
    command += ["-F", str(config)] if config else []
    command += ["-l", user] if user else []
    command += ["-p", str(port)] if port else []
    try:
        said = subprocess.run(  # noqa: S603 # no shell, and no option after `--`
            [*command, "--", name],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_SECONDS,
            check=False,
        )
    except FileNotFoundError:
        msg = "there is no program `ssh`, which knows how hosts are reached"
        raise InstallationError(msg, "install the OpenSSH client") from None
    except subprocess.TimeoutExpired:
        msg = f"`ssh -G {name}` has not ended in {_SECONDS} s"
        raise InventoryError(msg, "see what `Match exec` in ~/.ssh/config waits for") from None
    if said.returncode:
        why = said.stderr.decode("utf-8", "replace").strip() or f"exit {said.returncode}"
        msg = f"`ssh` refuses its settings for {name!r}: {' / '.join(why.splitlines())}"
        raise InventoryError(msg, "check `ssh` of the host in the inventory, and ~/.ssh/config")
    return parse(said.stdout.decode("utf-8", "surrogateescape"))


def _jumps(values: Values) -> list[str]:
    return [jump.strip() for line in values.get("proxyjump", ()) for jump in line.split(",")]


def _agent(value: str, tokens: Mapping[str, str]) -> str | None:
    if value == "none":
        return None
    if value == "SSH_AUTH_SOCK" or value.startswith("$"):
        return os.environ.get(value.strip("${}")) or None
    return _expand(value, tokens)


def _expand(text: str, tokens: Mapping[str, str]) -> str:
    # `ssh` takes the home from the list of users and ignores $HOME, and so must we.
    if text == "~" or text.startswith("~/"):
        text = _home() + text[1:]
    text = re.sub(r"\$\{(\w+)\}", lambda found: os.environ.get(found[1], found[0]), text)
    text = re.sub(r"%(.)", lambda found: tokens.get(found[1], found[0]), text)
    return str(Path(text).expanduser()) if text.startswith("~") else text


def _home() -> str:
    return pwd.getpwuid(os.getuid()).pw_dir


def _one(values: Values, key: str, name: str) -> str:
    found = _last(values, key, "")
    if not found:
        msg = f"`ssh -G {name}` says nothing about {key}"
        raise InventoryError(msg, "it has to be OpenSSH, 6.8 or newer")
    return found


def _last(values: Values, key: str, default: str) -> str:
    found = values.get(key)
    return found[-1] if found else default
