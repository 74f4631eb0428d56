"""What workers send each other.

A channel is one exchange from one worker to one other; its messages keep their order.
"""

import pickle
from collections.abc import Sequence
from typing import Any, NamedTuple


class Channel(NamedTuple):
    """One exchange, from one worker to another or to itself."""

    exchange: int
    sender: int
    receiver: int


class Items(NamedTuple):
    """A batch for a worker of the same process, passed by reference."""

    channel: Channel
    items: list[Any]
    cost: int
    grouped: bool = False

    def load(self) -> list[Any]:
        """The items, or `(key, values)` groups if `grouped`."""
        return self.items


class Encoded(NamedTuple):
    """A batch for a worker of another process.

    Args:
        channel: Its channel.
        pickled: Pickle of the items, protocol 5.
        buffers: Its out-of-band buffers.
        grouped: Whether the items are `(key, values)` groups.
    """

    channel: Channel
    pickled: bytes | memoryview
    buffers: Sequence[memoryview]
    grouped: bool = False

    @classmethod
    def dump(cls, channel: Channel, items: list[Any], *, grouped: bool = False) -> "Encoded":
        """Serialise a batch; whatever `pickle` raises is raised."""
        buffers: list[pickle.PickleBuffer] = []
        pickled = pickle.dumps(items, protocol=5, buffer_callback=buffers.append)
        return cls(channel, pickled, [buffer.raw() for buffer in buffers], grouped)

    @property
    def cost(self) -> int:
        """Bytes of credit that it takes."""
        return len(self.pickled) + sum(buffer.nbytes for buffer in self.buffers)

    def load(self) -> list[Any]:
        """The items, or `(key, values)` groups if `grouped`; whatever `pickle` raises is raised."""
        # Nothing that a stranger sent gets here: see `engine.mesh.protocol`.
        loaded: list[Any] = pickle.loads(self.pickled, buffers=self.buffers)  # noqa: S301
        return loaded


class Barrier(NamedTuple):
    """Everything before it in the channel belongs to `epoch` or earlier."""

    channel: Channel
    epoch: int


class EndOfInput(NamedTuple):
    """Nothing comes after it in the channel."""

    channel: Channel


class Credit(NamedTuple):
    """The receiver has room for `amount` more bytes; travels against the channel."""

    channel: Channel
    amount: int


Batch = Items | Encoded
RemoteMessage = Encoded | Barrier | EndOfInput | Credit
"""What can go to another process."""

Message = Items | RemoteMessage
