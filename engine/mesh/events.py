"""What a connection reports."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from engine.messages import Barrier, Credit, Encoded, EndOfInput

if TYPE_CHECKING:
    from engine.mesh.hello import Hello

UNAUTHORISED = 77
"""Code of a rejection: the peer could not prove that it belongs to the cluster."""
MISMATCH = 76
"""Code of a rejection: the peer does not fit."""
TRY_AGAIN = 75
"""Code of a rejection: the peer may be let in later."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a process that belongs to the cluster may not connect now."""

    code: int
    reason: str


@dataclass(frozen=True, slots=True)
class Established:
    """Both sides have accepted each other.

    Args:
        peer: What the other side said about itself.
    """

    peer: "Hello"


@dataclass(frozen=True, slots=True)
class Rejected:
    """One of the two sides refuses the other; the connection has to be closed.

    Args:
        code: Exit code of a process that cannot do without this connection.
        reasons: Sentences that are true on both sides.
        by_peer: Whether the other side is the one that refuses.
    """

    code: int
    reasons: tuple[str, ...]
    by_peer: bool


@dataclass(frozen=True, slots=True)
class ProtocolError:
    """The other side is no hostmesh process, or not in order; the connection has to be closed."""

    reason: str


@dataclass(frozen=True, slots=True)
class ControlMessage:
    """A message on a control connection."""

    message: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Silent:
    """Nothing was heard for longer than the heartbeat limit; the connection has to be closed."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Closed:
    """The other side has closed the connection, or it broke."""

    reason: str


Event = (
    Established
    | Rejected
    | ProtocolError
    | ControlMessage
    | Silent
    | Closed
    | Encoded
    | Barrier
    | EndOfInput
    | Credit
)
