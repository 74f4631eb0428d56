"""Processes of a cluster, each with a mesh on a thread of this one."""

import queue
import select
import socket
import time
from contextlib import ExitStack, contextmanager
from dataclasses import replace

from engine.mesh.assembly import listen
from engine.mesh.control import Assembled, Mesh, MeshFailed
from engine.mesh.hello import Fingerprint, Hello
from engine.mesh.peers import Timing
from engine.mesh.protocol import Connection
from engine.mesh.transport import Transport
from engine.settings import Address, ClusterSettings

DEADLINE = 20.0

FAST = Timing(
    handshake=1.0,
    connect=0.5,
    probe_after=0.1,
    first_retry=0.02,
    last_retry=0.1,
    first_report=0.1,
    report=0.1,
)


def until(condition, seconds=DEADLINE):
    """Wait until a condition holds, and give what it gives."""
    end = time.monotonic() + seconds
    while not (result := condition()):
        assert time.monotonic() < end, "it did not happen in time"
        select.select([], [], [], 0.005)
    return result


class Node:
    """One process.

    Args:
        listener: What it listens on.
        settings: Of the process.
        changes: To its hello.
    """

    def __init__(self, listener, settings, *, timing=FAST, **changes):
        hello = Hello.of(settings, engine="0.1.0", fingerprint=Fingerprint("ab", (("f.s", "1"),)))
        self.settings = settings
        self.hello = replace(hello, **changes)
        self.events = queue.SimpleQueue()
        self.links = {}
        listener = listener or listen(settings, self.hello)
        self.mesh = Mesh(settings, self.hello, listener, self.events.put, timing=timing)
        self.mesh.start()

    def next(self, kind, seconds=DEADLINE):
        """The next event, which is of that kind."""
        event = self.events.get(timeout=seconds)
        assert isinstance(event, kind), event
        return event

    def assembled(self):
        self.links = self.next(Assembled).links
        return self.links

    def failed(self):
        return self.next(MeshFailed).error

    def close(self):
        self.mesh.close()
        while not self.events.empty():
            event = self.events.get()
            if isinstance(event, Assembled):
                self.links = event.links
        for link in self.links.values():
            link.transport.close()


class Cluster:
    """Makes processes, and closes them in the end."""

    def __init__(self, stack):
        self._stack = stack

    def listener(self, host="127.0.0.1"):
        listener = socket.socket()
        self._stack.callback(listener.close)
        listener.bind((host, 0))
        listener.listen(1024)
        listener.setblocking(False)
        return listener

    def refusing(self):
        """An address at which nobody listens, and nobody will."""
        sock = socket.socket()
        self._stack.callback(sock.close)
        sock.bind(("127.0.0.1", 0))
        return address_of(sock)

    def node(self, listener, addresses, process, *, changes=None, timing=FAST, **settings):
        told = ClusterSettings(addresses=tuple(addresses), process_id=process, **settings)
        node = Node(listener, told, timing=timing, **(changes or {}))
        self._stack.callback(node.close)
        return node

    def nodes(self, count, changes=None, each=None, **settings):
        """A whole cluster; `changes` and `each` hold hello fields and settings by process."""
        listeners = [self.listener() for _ in range(count)]
        addresses = [address_of(listener) for listener in listeners]
        return [
            self.node(
                listener,
                addresses,
                process,
                changes=(changes or {}).get(process),
                **{**settings, **(each or {}).get(process, {})},
            )
            for process, listener in enumerate(listeners)
        ]

    def connect(self, address):
        """A plain TCP connection."""
        sock = socket.create_connection(address, timeout=DEADLINE)
        self._stack.callback(sock.close)
        return sock

    def puppet(self, node, process, purpose, **kw):
        """One end of a connection that says what a process would say."""
        hello = replace(node.hello, process=process, purpose=purpose, to=node.hello.process, **kw)
        hello = replace(hello, instance=kw.get("instance", f"puppet {process}"))
        address = node.settings.addresses[node.hello.process]
        puppet = Puppet(self.connect(address), hello, node.settings.secret)
        self._stack.callback(puppet.transport.close)
        return puppet


class Puppet:
    """A connection that the test drives."""

    def __init__(self, sock, hello, secret=None):
        self.transport = Transport(sock)
        self.connection = Connection(hello, dialer=True, secret=secret, now=time.monotonic())

    def step(self):
        self.transport.flush(self.connection)
        return self.transport.read(self.connection, time.monotonic())

    def event(self):
        """The next event."""
        return until(self.step)[0]


@contextmanager
def running():
    with ExitStack() as stack:
        yield Cluster(stack)


def address_of(sock):
    return Address(*sock.getsockname()[:2])
