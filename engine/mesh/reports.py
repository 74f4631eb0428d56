"""What the control thread reports to its process."""

from typing import TYPE_CHECKING, Any, NamedTuple

from engine.errors import EngineError

if TYPE_CHECKING:
    from engine.mesh.protocol import Connection
    from engine.mesh.transport import Transport


class DataLink(NamedTuple):
    """An established data connection, for the dataplane to own: read, flush and close it.

    Read it once when it is taken over: with TLS bytes may be there that no selector knows of.
    """

    process: int
    transport: "Transport"
    connection: "Connection"


class Assembled(NamedTuple):
    """All peers are connected; data links by process ID are the receiver's from now on."""

    links: dict[int, DataLink]


class Message(NamedTuple):
    """A peer sent a control message; may come before `Assembled`.

    The last one of a peer that closes its mesh in order is `{"type": "bye"}`.
    """

    process: int
    message: dict[str, Any]


class PeerLost(NamedTuple):
    """A peer of the assembled mesh is gone without a bye, or silent."""

    process: int
    address: str
    reason: str


class MeshFailed(NamedTuple):
    """The mesh cannot be assembled. Messages can be sent to connected peers until `close`."""

    error: EngineError


class PeerView(NamedTuple):
    """What is known of a peer now.

    Args:
        connected: Whether both of its connections are established.
        reason: Why they are not, as a clause.
        last_heard: When it was last heard, in monotonic seconds, if it is connected.
    """

    connected: bool
    reason: str
    last_heard: float | None


MeshEvent = Assembled | Message | PeerLost | MeshFailed
