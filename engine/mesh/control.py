"""The control thread of a process: assembles the mesh, then watches over it."""

import socket
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from engine.errors import EngineError
from engine.mesh.hello import Hello
from engine.mesh.protocol import Connection
from engine.mesh.transport import Transport
from engine.settings import ClusterSettings


@dataclass(frozen=True)
class DataLink:
    """An established data connection, for the dataplane to own: read, flush and close it.

    Read it once when it is taken over: with TLS bytes may be there that no selector knows of.
    """

    process: int
    transport: Transport
    connection: Connection


@dataclass(frozen=True)
class Assembled:
    """All peers are connected; data links by process ID are the receiver's from now on."""

    links: dict[int, DataLink]


@dataclass(frozen=True)
class Message:
    """A peer sent a control message; may come before `Assembled`.

    The last one of a peer that closes its mesh in order is `{"type": "bye"}`.
    """

    process: int
    message: dict[str, Any]


@dataclass(frozen=True)
class PeerLost:
    """A peer of the assembled mesh is gone without a bye, or silent."""

    process: int
    address: str
    reason: str


@dataclass(frozen=True)
class MeshFailed:
    """The mesh cannot be assembled. Messages can be sent to connected peers until `close`."""

    error: EngineError


MeshEvent = Assembled | Message | PeerLost | MeshFailed


class Mesh:
    """All connections of one process, on a thread of its own; every method is thread-safe.

    Args:
        settings: Of this process.
        hello: What it tells its peers.
        listener: A socket that listens (see `engine.mesh.assembly.listen`); closed by `close`.
        emit: Called on the control thread with each event; must not block.
    """

    def __init__(
        self,
        settings: ClusterSettings,
        hello: Hello,
        listener: socket.socket,
        emit: Callable[[MeshEvent], None],
    ) -> None: ...

    def start(self) -> None:
        """Begin to assemble."""

    def send(self, process: int, message: dict[str, Any]) -> None:
        """Send to one peer; dropped if it is not connected."""

    def broadcast(self, message: dict[str, Any]) -> None:
        """Send to every connected peer."""

    def close(self, limit: float = 1.0) -> None:
        """Say bye, send what is pending for at most `limit` seconds, and end the thread.

        Data links that were handed over stay open.
        """
