"""Two ends of a connection that talk without a network."""

from dataclasses import replace

from engine.mesh.events import Event
from engine.mesh.hello import Fingerprint, Hello
from engine.mesh.protocol import Connection


def hello(process=0, **changes):
    """What a process of a cluster of two says."""
    base = Hello(
        engine="0.1.0",
        process=process,
        workers=1,
        addresses=("127.0.0.1:9000", "127.0.0.1:9001"),
        fingerprint=Fingerprint("abcd", (("flow.inp", "11"), ("flow.out", "22"))),
        cluster="test",
        python="3.11",
        host=f"host{process}",
        pid=100 + process,
    )
    return replace(base, **changes)


class Conversation:
    """Process 1 has dialed process 0."""

    def __init__(
        self, purpose="control", *, dialer=None, acceptor=None, secrets=(None, None), **kw
    ):
        self.dialer = Connection(
            dialer or hello(1, purpose=purpose, to=0), dialer=True, secret=secrets[0], now=0.0, **kw
        )
        self.acceptor = Connection(
            acceptor or hello(0), dialer=False, secret=secrets[1], now=0.0, **kw
        )
        self.dialer_events: list[Event] = []
        self.acceptor_events: list[Event] = []

    def run(self, now=0.0):
        """Carry bytes both ways until nobody has anything to say."""
        while self.dialer.pending or self.acceptor.pending:
            self.acceptor_events += feed(self.acceptor, take(self.dialer), now)
            self.dialer_events += feed(self.dialer, take(self.acceptor), now)
        return self

    @property
    def events(self):
        return self.dialer_events, self.acceptor_events

    def clear(self):
        self.dialer_events.clear()
        self.acceptor_events.clear()


def take(connection):
    """All bytes that a connection wants to send."""
    taken = bytearray()
    while connection.pending:
        data = b"".join(connection.to_send())
        connection.sent(len(data))
        taken += data
    return bytes(taken)


def feed(connection, data, now=0.0, sizes=None):
    """Have a connection receive bytes, in pieces of given sizes if there are any."""
    events = []
    view = memoryview(data)
    sizes = iter(sizes or ())
    while view:
        buffer = connection.get_buffer()
        count = min(len(buffer), len(view), next(sizes, len(view)))
        buffer[:count] = view[:count]
        view = view[count:]
        events += connection.received(count, now)
    return events
