"""The two ends of an exchange on one worker: routing, batching and credit.

A channel's receiver grants credit in bytes. Data is sent while there is credit left, so
that what is under way exceeds the window by one batch at most; barriers, end of input and
credit itself need none.
"""

from collections import deque
from collections.abc import Callable, Sequence
from itertools import islice
from typing import Any, Protocol
from zlib import crc32

from engine.messages import (
    Barrier,
    Batch,
    Channel,
    Credit,
    Encoded,
    EndOfInput,
    Items,
    Message,
)
from engine.plan import Exchange, Route
from engine.sizes import approximate_size

SHARDS = 4096
"""Number of shards of all keys; fixed, because snapshots are stored by shard."""

BATCH_ITEMS = 1000
"""Items that are worth a message of their own; as many as sources give at once by default."""

BATCH_BYTES = 1 << 18
"""Bytes that are worth a message of their own."""

_MEMO_KEYS = 1 << 16
_SAMPLE = 64
_SIZED = 8
_FEW_KEYS = 16


class Outlet(Protocol):
    """Takes messages to any worker of the cluster."""

    def is_remote(self, worker: int) -> bool:
        """Whether messages to that worker have to be serialised."""
        ...

    def send(self, worker: int, message: Message) -> None:
        """Send without blocking; messages to one worker keep their order."""
        ...


def window(route: Route, workers: int) -> int:
    """Bytes that may be under way in each channel of an exchange.

    Small for a balanced exchange, so that a slow worker is not given what a fast one could do.
    """
    most = 1 << 16 if route is Route.BALANCED else 1 << 19
    return max(1 << 15, min(most, (1 << 22) // workers))


class Owners(dict[str, int]):
    """Worker by key: `crc32(utf-8) mod 4096` is the shard, and shards go to workers in order."""

    def __init__(self, workers: int) -> None:
        super().__init__()
        self._workers = workers

    def __missing__(self, key: str) -> int:
        if not isinstance(key, str):
            msg = f"a key has to be a str, not the {type(key).__name__} {key!r}; see `key_on`"
            raise TypeError(msg)
        if len(self) >= _MEMO_KEYS:
            self.clear()
        owner = crc32(key.encode("utf-8", "surrogatepass")) % SHARDS * self._workers // SHARDS
        self[key] = owner
        return owner


class Outbound:
    """Sending end of one exchange on one worker.

    Args:
        exchange: The exchange.
        sender: Index of this worker.
        workers: Workers in the cluster.
        outlet: Takes the messages.
        part_owner: From a key to the worker that owns its sink partition, if that is the route.
    """

    def __init__(
        self,
        exchange: Exchange,
        sender: int,
        workers: int,
        outlet: Outlet,
        part_owner: Callable[[str], int] | None = None,
    ) -> None:
        self.exchange = exchange
        self._outlet = outlet
        local = exchange.route is Route.LOCAL
        self._receivers = (sender,) if local else tuple(range(workers))
        self._channels = [
            Channel(exchange.number, sender, receiver) for receiver in self._receivers
        ]
        self.credit = [window(exchange.route, workers)] * len(self._receivers)
        self._waiting: list[list[Any]] = [[] for _ in self._receivers]
        self._turn = sender % len(self._receivers)
        self._bytes = [0] * len(self._receivers)
        self._owners = Owners(workers)
        self._part_owner = part_owner or self._owners.__getitem__
        self._distribute = self._choose_distribute()

    def _choose_distribute(self) -> Callable[[list[Any]], None]:
        if len(self._receivers) == 1:
            return self._to_one
        if self.exchange.route is Route.KEYED:
            return self._by_key
        if self.exchange.route is Route.PARTITIONED:
            return self._by_partition
        return self._in_turn

    def put(self, items: list[Any], *, keep: bool = False) -> None:
        """Route a batch of one or more items, and send what is worth a message.

        Args:
            items: The batch.
            keep: Whether the list is this end's from now on, rather than the caller's still.

        Raises:
            TypeError: If an item has no `str` key and the route needs one.
            Exception: Whatever `pickle` raises of an item.
        """
        size = _mean_size(items)
        before = [len(waiting) for waiting in self._waiting]
        if keep and before == [0]:
            self._waiting[0] = items
        else:
            self._distribute(items)
        for index, waiting in enumerate(self._waiting):
            if len(waiting) > before[index]:
                self._bytes[index] += (len(waiting) - before[index]) * size
                if self._is_full(index):
                    self._send(index)

    def _to_one(self, items: list[Any]) -> None:
        self._waiting[0] += items

    def _by_key(self, items: list[Any]) -> None:
        waiting = self._waiting
        owners = self._owners
        for item in items:
            waiting[owners[item[0]]].append(item)

    def _by_partition(self, items: list[Any]) -> None:
        for item in items:
            self._waiting[self._part_owner(item[0])].append(item)

    def _in_turn(self, items: list[Any]) -> None:
        ready = [index for index, credit in enumerate(self.credit) if credit > 0]
        ready = ready or list(range(len(self.credit)))
        share = -(-len(items) // len(ready))
        for start in range(0, len(items), share):
            self._waiting[ready[self._turn % len(ready)]] += items[start : start + share]
            self._turn += 1

    def _is_full(self, index: int) -> bool:
        """Whether what waits for a receiver is worth a message."""
        return len(self._waiting[index]) >= BATCH_ITEMS or self._bytes[index] >= BATCH_BYTES

    def _send(self, index: int) -> None:
        """Send what waits for a receiver, as far as there is credit."""
        while self._waiting[index] and self.credit[index] > 0:
            waiting = self._waiting[index]
            size = max(1, self._bytes[index] // len(waiting))
            count = max(1, min(BATCH_ITEMS, BATCH_BYTES // size, len(waiting)))
            batch, rest = waiting, list[Any]()
            if count < len(waiting):
                batch, rest = waiting[:count], waiting[count:]
            self._waiting[index] = rest
            self._bytes[index] = size * len(rest)
            self._send_batch(index, batch, size * count)

    def _send_batch(self, index: int, items: list[Any], cost: int) -> None:
        channel = self._channels[index]
        batch: Batch
        if self._outlet.is_remote(channel.receiver):
            grouped = self.exchange.route is Route.KEYED and _few_keys(items)
            batch = Encoded.dump(channel, _group(items) if grouped else items, grouped=grouped)
        else:
            batch = Items(channel, items, cost)
        self.credit[index] -= batch.cost
        self._outlet.send(channel.receiver, batch)

    @property
    def blocked(self) -> bool:
        """Whether a full batch waits for credit, so that the stage has to park."""
        return any(credit <= 0 and self._is_full(index) for index, credit in enumerate(self.credit))

    @property
    def waiting(self) -> bool:
        """Whether anything waits at all."""
        return any(self._waiting)

    def send_full(self) -> None:
        """Send what waits and is worth a message, as far as there is credit."""
        for index, credit in enumerate(self.credit):
            if credit > 0 and self._is_full(index):
                self._send(index)

    def flush(self) -> bool:
        """Send what waits, as far as there is credit; tell whether all is sent."""
        done = True
        for index, waiting in enumerate(self._waiting):
            if waiting:
                self._send(index)
                done = done and not self._waiting[index]
        return done

    def grant(self, receiver: int, amount: int) -> None:
        """Take credit from a receiver."""
        self.credit[0 if len(self._receivers) == 1 else receiver] += amount

    def barrier(self, epoch: int) -> None:
        """Send the barrier of an epoch to all receivers; nothing may be waiting."""
        for channel in self._channels:
            self._outlet.send(channel.receiver, Barrier(channel, epoch))

    def end(self) -> None:
        """Send the end of input to all receivers; nothing may be waiting."""
        for channel in self._channels:
            self._outlet.send(channel.receiver, EndOfInput(channel))


class Inbound:
    """Receiving end of one channel.

    Args:
        channel: The channel.
        outlet: Takes the credit that is granted.
        window: Bytes that may be under way.
    """

    def __init__(self, channel: Channel, outlet: Outlet, window: int) -> None:
        self.channel = channel
        self.queue: deque[Batch | Barrier | EndOfInput] = deque()
        self.held = 0
        self.ended = False
        self.queued = 0
        self._outlet = outlet
        self._owed = 0
        self._worth_granting = window // 4

    def push(self, message: Batch | Barrier | EndOfInput) -> None:
        """Take a message as it arrives."""
        if isinstance(message, (Items, Encoded)):
            self.queued += message.cost
        self.queue.append(message)

    def take(self) -> Batch | None:
        """The next batch, unless there is none before the next barrier."""
        while self.queue and not self.held:
            message = self.queue.popleft()
            if isinstance(message, Barrier):
                self.held = message.epoch
            elif isinstance(message, EndOfInput):
                self.ended = True
            else:
                self.queued -= message.cost
                return message
        return None

    def consumed(self, cost: int) -> None:
        """Grant credit for a batch that was worked off.

        Small amounts are saved up; a sender that is out of credit is owed a whole window,
        which is never too small.
        """
        self._owed += cost
        if self._owed >= self._worth_granting and not self.ended:
            self._outlet.send(self.channel.sender, Credit(self.channel, self._owed))
            self._owed = 0


def _mean_size(items: list[Any]) -> int:
    """About how many bytes an item of a batch takes, from a few of them."""
    sample = items if len(items) <= _SIZED else items[:: -(-len(items) // _SIZED)]
    return max(64, sum(map(approximate_size, sample)) // len(sample))


def _few_keys(items: Sequence[tuple[str, Any]]) -> bool:
    """Whether keys repeat so much that grouping by key pays."""
    return len(items) >= _SAMPLE and len({item[0] for item in islice(items, _SAMPLE)}) <= _FEW_KEYS


def _group(items: list[tuple[str, Any]]) -> list[tuple[str, list[Any]]]:
    groups: dict[str, list[Any]] = {}
    for key, value in items:
        if key in groups:
            groups[key].append(value)
        else:
            groups[key] = [value]
    return list(groups.items())
