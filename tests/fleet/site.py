"""What an operator has: a folder, a home with SSH's files, inventories, and the command `ctl`."""

import os
import subprocess
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path

from tests.engine.running import Running
from tests.fleet import toml
from tests.fleet.hosts import FleetHost, Ran
from tests.fleet.keys import Key

CTL = (sys.executable, "-P", "-c", "from ctl.cli import main; main()")
# The tests' own operator must not be seen.
CLEARED = ("SSH_AUTH_SOCK", "CTL_INVENTORY", "XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_STATE_HOME")


class Site:
    """An operator's machine, so to speak.

    Args:
        base: For the folder that commands are run in, and the home.
        key: What logs in on the hosts.

    Attributes:
        folder: Where commands are run, and where inventories and flows are.
        home: The home, with `.ssh`.
        env: What is added to the environment of commands.
    """

    def __init__(self, base: Path, key: Key) -> None:
        self.folder = base / "site"
        self.home = base / "operator"
        self.folder.mkdir(parents=True)
        (self.home / ".ssh").mkdir(parents=True, mode=0o700)
        self.key = key
        self.identity.touch(mode=0o600)
        self.identity.write_text(key.private)
        self.known_hosts.touch()
        # ssh itself takes the home from the list of users, so ctl has to be told.
        self.env = {"HOME": str(self.home), "CTL_SSH_CONFIG": str(self.ssh_config)}
        self._hosts: dict[str, FleetHost] = {}
        self._running: list[Running] = []
        self._write_ssh_config()

    @property
    def identity(self) -> Path:
        """The private key."""
        return self.home / ".ssh" / "id_ed25519"

    @property
    def known_hosts(self) -> Path:
        """The keys of hosts, by address and port."""
        return self.home / ".ssh" / "known_hosts"

    @property
    def ssh_config(self) -> Path:
        """SSH's settings for all hosts; those of a test go in front (`configure`)."""
        return self.home / ".ssh" / "config"

    def trust(self, hosts: Iterable[FleetHost]) -> None:
        """Know the keys of hosts, and their names in SSH's settings."""
        known = self.known_hosts.read_text()
        new = [host.known_hosts_line for host in hosts if host.known_hosts_line not in known]
        self.known_hosts.write_text(known + "".join(new))
        self._hosts |= {host.name: host for host in hosts}
        self._write_ssh_config()

    def forget_host_keys(self) -> None:
        """Know the key of no host."""
        self.known_hosts.write_text("")

    def _write_ssh_config(self) -> None:
        sections = [
            f"Host {host.name} {host.address}\n"
            f"    HostName {host.address}\n"
            f"    Port {host.port}\n"
            f"    User {host.user}\n"
            for host in self._hosts.values()
        ]
        rest = (
            "Host *\n"
            f'    IdentityFile "{self.identity}"\n'
            "    IdentitiesOnly yes\n"
            f'    UserKnownHostsFile "{self.known_hosts}"\n'
            "    GlobalKnownHostsFile /dev/null\n"
        )
        self.ssh_config.write_text("".join([*sections, rest]))

    def inventory(
        self,
        hosts: Iterable[FleetHost],
        *,
        name: str = "flights",
        file: str = "inventory.toml",
        processes: int | Mapping[str, int] = 1,
        python: str | None = None,
        deployment: Mapping[str, object] | None = None,
        keys: Mapping[str, Mapping[str, object]] | None = None,
        extra: str = "",
    ) -> Path:
        """Write an inventory of hosts, which the operator trusts from now on.

        Args:
            hosts: In their order.
            name: Of the deployment.
            file: Its name in the folder.
            processes: For all hosts, or by their names, 1 for the others.
            python: For all hosts, instead of each one's own.
            deployment: More keys of the table `deployment`.
            keys: More keys of hosts, by the names of these.
            extra: Text for the end.
        """
        hosts = list(hosts)
        self.trust(hosts)
        tables = [toml.table("[deployment]", {"name": name, **(deployment or {})})]
        for host in hosts:
            count = processes if isinstance(processes, int) else processes.get(host.name, 1)
            settings = {
                "name": host.name,
                "ssh": host.address,
                "ssh_port": host.port,
                "user": host.user,
                "address": host.address,
                "python": python or host.python,
                "processes": count,
                **((keys or {}).get(host.name, {})),
            }
            tables.append(toml.table("[[hosts]]", settings))
        return self.write(file, "\n".join([*tables, extra]))

    def write(self, name: str, text: str) -> Path:
        """Write a file of the folder."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    def ctl(self, *words: object, timeout: float = 60, **env: str) -> Ran:
        """Run `ctl` to its end."""
        return subprocess.run(
            [*self._clear, *CTL, *map(str, words)],
            cwd=self.folder,
            env={**os.environ, **self.env, **env},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )

    def ctl_start(self, *words: object, **env: str) -> Running:
        """Start `ctl`; `close` ends what then still runs."""
        command = [*self._clear, *CTL, *map(str, words)]
        running = Running(command, {**self.env, **env}, self.folder)
        self._running.append(running)
        return running

    def close(self) -> None:
        """End what still runs."""
        for running in self._running:
            if not running.ended:
                running.process.kill()
            running.code()

    @property
    def _clear(self) -> list[str]:
        return ["env", *(f"--unset={name}" for name in CLEARED)]

    def ssh(self, host: FleetHost, command: str, user: str | None = None) -> Ran:
        """Run a command on a host that is trusted, with OpenSSH's client."""
        return subprocess.run(
            [
                *("ssh", "-F", self.ssh_config, "-o", "BatchMode=yes", "-o", "ConnectTimeout=5"),
                *("-o", "StrictHostKeyChecking=yes", "-l", user or host.user),
                *(host.address, command),
            ],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
