"""What an inventory says: a deployment, and the hosts that run it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from ctl.inventory.lines import Lines
from engine.settings import Address

ROOT = "~/.hostmesh"
"""Where a host keeps everything, unless its inventory says otherwise."""


@dataclass(frozen=True)
class SecretSource:
    """Where the value of a secret is read when it is needed: one of the two.

    Args:
        env: Name of a variable on the operator's machine.
        file: A file there, for its owner only.
    """

    env: str | None = None
    file: Path | None = None


@dataclass(frozen=True)
class Recovery:
    """Snapshots to resume from.

    Args:
        store: A directory that each host has for itself.
        interval: Seconds from one snapshot to the next.
    """

    store: str
    interval: float = 10.0


@dataclass(frozen=True)
class DeploymentSettings:
    """What holds for all processes.

    Args:
        name: What every command and every host calls the deployment.
        runtime: The engine that runs the flow.
        workers: Worker threads in each process.
        requirements: What the flow requires of PyPI, or a file that lists it; None if that is
            written in the flow or beside it.
        include: Patterns of files that are pushed beside the flow and what it imports.
        env: Environment variables of every process.
        secrets: More of them, by the name of the variable; their values are not here.
        recovery: Snapshots, if there are to be any.
        options: Further keys, which the runtime knows.
    """

    name: str
    runtime: str = "engine"
    workers: int = 1
    requirements: tuple[str, ...] | Path | None = None
    include: tuple[str, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict)
    secrets: Mapping[str, SecretSource] = field(default_factory=dict)
    recovery: Recovery | None = None
    options: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True)
class Host:
    """A machine that runs processes.

    Args:
        name: What tables, logs and errors call it.
        transport: How it is reached; `local` is this machine, without SSH.
        ssh: What SSH dials, as in `ssh alpha.example`.
        ssh_port: Port of its SSH server, if it is not the one that ssh_config says.
        user: Login, if it is not the one that ssh_config says.
        address: What the other hosts dial; None until `resolve` has found it.
        bind: Where the mesh listens, if it is not the address.
        mesh_port: Port of its first process; that of each further one is higher by one.
        processes: How many it runs.
        python: Name or path of its interpreter.
        workdir: Current directory of its processes, if not the deployment's own folder.
        root: Folder for all that is pushed; a leading `~` is expanded on the host.
    """

    name: str
    transport: Literal["ssh", "local"] = "ssh"
    ssh: str = ""
    ssh_port: int | None = None
    user: str | None = None
    address: str | None = None
    bind: str | None = None
    mesh_port: int = 9000
    processes: int = 1
    python: str = "python3"
    workdir: str | None = None
    root: str = ROOT


@dataclass(frozen=True)
class ProcessPlace:
    """One process of the ordered address list.

    Args:
        id: Its index in the list.
        host: Where it runs.
        address: What its peers dial.
    """

    id: int
    host: Host
    address: Address


@dataclass(frozen=True)
class Inventory:
    """A deployment, and the hosts that run it.

    Args:
        path: The file, as it was named.
        deployment: What holds for all processes.
        hosts: In the order of their process ids.
        lines: Where the keys stand in the file.
    """

    path: Path
    deployment: DeploymentSettings
    hosts: tuple[Host, ...]
    lines: Lines = field(default_factory=Lines, repr=False, compare=False)

    @property
    def processes(self) -> tuple[ProcessPlace, ...]:
        """The ordered address list: hosts in file order, the ports of each in order.

        Raises:
            ValueError: If `resolve` has not found all addresses yet.
        """
        places: list[ProcessPlace] = []
        for host in self.hosts:
            if host.address is None:
                msg = f"the address of {host.name} is not known yet"
                raise ValueError(msg)
            for port in range(host.mesh_port, host.mesh_port + host.processes):
                places.append(ProcessPlace(len(places), host, Address(host.address, port)))
        return tuple(places)

    def where(self, *path: str | int) -> str:
        """File and line of a key, such as `where("deployment", "recovery")`, for an error."""
        return f"{self.path}:{self.lines.of(*path)}"
