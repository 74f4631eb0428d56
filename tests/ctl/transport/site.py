"""Servers on loopback, and an operator with an ssh_config, keys and known hosts of their own."""

import os
import socket
import subprocess
from contextlib import ExitStack
from pathlib import Path

from ctl.inventory import Host
from ctl.transport import Channel, SshSettings, open_channel
from ctl.transport.ssh.settings import Ask
from tests.engine.running import eventually
from tests.fleet.keys import Key
from tests.fleet.sshd import Sshd

ECHO = "cat"


class Site:
    """Args:
    folder: For all files.
    stack: Ends what was started.
    """

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        self.folder = folder
        self._stack = stack
        self.known_hosts = folder / "known_hosts"
        self.key = Key.new()
        self.identity = self.private("identity", self.key)
        self.config = folder / "config"
        self._blocks: list[str] = []
        self._servers = 0

    def private(self, name: str, key: Key) -> Path:
        file = self.folder / name
        file.touch(mode=0o600)
        file.write_text(key.private)
        return file

    def server(self, *options: str, key: Key | None = None, **more: object) -> Sshd:
        """A running server that takes the operator's key, or another one."""
        self._servers += 1
        return self._stack.enter_context(
            Sshd(
                self.folder / f"server{self._servers}",
                f"127.0.0.{self._servers + 1}",
                authorized=[(key or self.key).public],
                options=options,
                **more,  # type: ignore[arg-type]
            )
        )

    def configure(self, name: str, server: Sshd | tuple[str, int], *lines: str) -> Host:
        """Write a block of ssh_config, in front of what holds for all."""
        address, port = (server.address, server.port) if isinstance(server, Sshd) else server
        self._blocks.append(
            "\n  ".join([f"Host {name}", f"HostName {address}", f"Port {port}", *lines])
        )
        return self.host(name)

    def host(self, name: str, **more: object) -> Host:
        return Host(name=name, ssh=name, **more)  # type: ignore[arg-type]

    def settings(self, ask: Ask | None = None, **more: object) -> SshSettings:
        common = [
            "Host *",
            f"  IdentityFile {self.identity}",
            "  IdentityAgent none",
            f"  UserKnownHostsFile {self.known_hosts}",
            f"  GlobalKnownHostsFile {self.folder}/global_known_hosts",
        ]
        self.config.write_text("\n".join([*self._blocks, *common, ""]))
        return SshSettings(config=self.config, ask=ask, **more)  # type: ignore[arg-type]

    def know(self, *servers: Sshd) -> None:
        with self.known_hosts.open("a") as file:
            file.writelines(server.known_hosts_line for server in servers)

    def open(
        self, host: Host, command: str = ECHO, ask: Ask | None = None, **more: object
    ) -> Channel:
        channel = open_channel(host, command, self.settings(ask, **more))
        self._stack.callback(channel.close)
        return channel

    def keygen(self, *words: str | Path) -> str:
        ran = subprocess.run(
            ["ssh-keygen", *words], capture_output=True, text=True, check=False, input=""
        )
        return ran.stdout

    def agent(self, *keys: Path) -> Path:
        """The socket of an agent that has these keys."""
        path = self.folder / "agent"
        agent = subprocess.Popen(["ssh-agent", "-D", "-a", path], stdout=subprocess.DEVNULL)
        self._stack.callback(agent.wait)
        self._stack.callback(agent.terminate)
        eventually(lambda: _listens(path), "an agent that listens")
        for key in keys:
            subprocess.run(
                ["ssh-add", "-q", key],
                env={**os.environ, "SSH_AUTH_SOCK": str(path)},
                check=True,
                capture_output=True,
            )
        return path


def echoes(channel: Channel) -> bool:
    """Whether what is sent comes back."""
    channel.send(b"hello")
    return channel.receive(100) == b"hello"


def _listens(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as client:
        return client.connect_ex(str(path)) == 0
