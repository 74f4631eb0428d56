"""What a relay is told: the part `relay` of a process's launch, and the folder of that launch.

- `engine`: `[host, port]` where the engine of this process listens
- `mesh`: `[host, port]` where relays of other hosts connect to
- `peers`: each process of another host
    - `id`: its ID
    - `local`: `[host, port]` where its engine listens there, and its peers' relays here
    - `address`: `[host, port]` where its relay is connected to
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ctl.remote.joined import file_name
from ctl.remote.relay.sockets import Place


@dataclass(frozen=True)
class Peer:
    """A process of another host.

    Args:
        id: Its ID.
        local: Where our engine dials it.
        address: Where its relay is dialed.
    """

    id: int
    local: Place
    address: Place


@dataclass(frozen=True)
class Settings:
    """Of one relay.

    Args:
        process: ID of the process that it belongs to.
        engine: Where its engine listens.
        mesh: Where other relays are expected.
        peers: All processes of other hosts.
        tls: Folder with `ca.pem`, and `<id>.pem` and `<id>.key` of the process.
        joined: File that shows which connections have come to their peers.
    """

    process: int
    engine: Place
    mesh: Place
    peers: tuple[Peer, ...]
    tls: Path
    joined: Path

    @classmethod
    def of(cls, process: int, spec: dict[str, Any], folder: Path) -> "Settings":
        """What a launch says.

        Args:
            process: ID of the process.
            spec: The part `relay` of its launch.
            folder: Of the launch.
        """
        peers = tuple(
            Peer(int(each["id"]), _place(each["local"]), _place(each["address"]))
            for each in spec["peers"]
        )
        return cls(
            process,
            _place(spec["engine"]),
            _place(spec["mesh"]),
            peers,
            folder / "tls",
            folder / file_name(process),
        )


def _place(value: list[Any]) -> Place:
    return str(value[0]), int(value[1])
