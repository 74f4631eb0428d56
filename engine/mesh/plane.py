"""Carry messages of workers over the data connections to peers.

The workers' own threads do it: each looks at the sockets between its steps, and of those
with nothing to do one waits at the sockets while the others wait to be woken.
"""

import select
import socket
import threading
import time
from collections.abc import Callable, Mapping

from engine.mesh.events import Closed, ProtocolError
from engine.mesh.reports import DataLink
from engine.messages import Barrier, Credit, Encoded, EndOfInput, Items, Message, RemoteMessage
from engine.plane import Plane
from engine.settings import ClusterSettings


class Link:
    """A data connection and the lock under which it is used."""

    def __init__(self, link: DataLink) -> None:
        self.process = link.process
        self.connection = link.connection
        self.transport = link.transport
        self.lock = threading.Lock()
        self.watched = select.POLLIN

    def send(self, message: RemoteMessage) -> None:
        """Queue a message; data leaves at once, with what was queued before it."""
        with self.lock:
            self.connection.send(message)
            if isinstance(message, Encoded):
                self.transport.flush(self.connection)

    def flush(self) -> None:
        """Send what is queued, as far as the socket takes it."""
        with self.lock:
            if self.connection.pending:
                self.transport.flush(self.connection)


class MeshPlane(Plane):
    """The outlet of all workers of a process that has peers.

    Args:
        settings: Of the process.
        links: Data connections by process ID.
        lost: Called once for each connection that breaks, with process ID and reason.
    """

    def __init__(
        self,
        settings: ClusterSettings,
        links: Mapping[int, DataLink],
        lost: Callable[[int, str], None],
    ) -> None:
        super().__init__(settings)
        self._per_process = settings.workers
        self._process = settings.process_id
        self._lost = lost
        self._links = {process: Link(link) for process, link in links.items()}
        self._by_fd = {link.transport.fileno(): link for link in self._links.values()}
        self._waiting = [False] * settings.workers
        self._leader = threading.Lock()
        self._leader_waits = False
        self._poller = select.poll()
        self._bell, self._ringer = socket.socketpair()
        for end in (self._bell, self._ringer):
            end.setblocking(False)
        self._poller.register(self._bell, select.POLLIN)
        for fd in self._by_fd:
            self._poller.register(fd, select.POLLIN)
        self._unread = list(self._links.values())

    def is_remote(self, worker: int) -> bool:
        """Whether messages to that worker have to be serialised."""
        return worker // self._per_process != self._process

    def send(self, worker: int, message: Message) -> None:
        """Send without blocking."""
        process = worker // self._per_process
        if process == self._process:
            super().send(worker, message)
        else:
            assert not isinstance(message, Items), "items have to be encoded for another process"
            self._links[process].send(message)

    # Called by the workers between their steps; `index` counts the workers of this process.

    def poll(self) -> None:
        """Move what can be moved, without waiting, unless another worker is at it."""
        if self._by_fd and self._leader.acquire(blocking=False):
            try:
                self._move(0)
            finally:
                self._leader.release()

    def wait(self, index: int, seconds: float) -> None:
        """Wait until there may be something to do for a worker."""
        wakeup = self._wakeups[index]
        if self._by_fd and self._leader.acquire(blocking=False):
            try:
                self._leader_waits = True
                if not wakeup.is_set():
                    self._move(seconds)
            finally:
                self._leader_waits = False
                self._leader.release()
            self._pass_on(index)
        else:
            self._waiting[index] = True
            wakeup.wait(seconds)
            self._waiting[index] = False
        wakeup.clear()

    def wake(self, index: int) -> None:
        """Have a worker look for something to do; callable from any thread."""
        wakeup = self._wakeups[index]
        if not wakeup.is_set():
            wakeup.set()
            self._ring()

    def close(self) -> None:
        """Close all connections."""
        with self._leader:
            for link in self._links.values():
                with link.lock:
                    link.transport.close()
            self._by_fd.clear()
            self._bell.close()
            self._ringer.close()

    def _ring(self) -> None:
        if self._leader_waits:
            try:
                self._ringer.send(b"!")
            except (BlockingIOError, OSError):
                # Full: it rings already. Closed: nobody listens any more.
                return

    def _pass_on(self, index: int) -> None:
        """Have another waiting worker take the place at the sockets."""
        for other, waits in enumerate(self._waiting):
            if waits and other != index:
                self._wakeups[other].set()
                return

    def _move(self, seconds: float) -> None:
        unread, self._unread = self._unread, []
        for link in unread:
            self._read(link)
        for link in self._links.values():
            self._watch(link)
        for fd, event in self._poller.poll(0 if unread else seconds * 1000):
            if fd not in self._by_fd:
                self._bell.recv(4096)
                continue
            link = self._by_fd[fd]
            if event & ~select.POLLOUT:
                self._read(link)
            if event & select.POLLOUT:
                link.flush()

    def _watch(self, link: Link) -> None:
        """Wait to write only while there is something to write."""
        link.flush()
        writes = link.transport.wants_write(link.connection)
        wanted = select.POLLIN | (select.POLLOUT if writes else 0)
        if wanted != link.watched and link.transport.fileno() in self._by_fd:
            link.watched = wanted
            self._poller.modify(link.transport.fileno(), wanted)

    def _read(self, link: Link) -> None:
        with link.lock:
            events = link.transport.read(link.connection, time.monotonic())
        for event in events:
            match event:
                case Encoded(channel) | Barrier(channel) | EndOfInput(channel):
                    self._deliver(channel.receiver, event)
                case Credit(channel):
                    self._deliver(channel.sender, event)
                case Closed(reason) | ProtocolError(reason):
                    fd = link.transport.fileno()
                    if self._by_fd.pop(fd, None) is not None:
                        self._poller.unregister(fd)
                        self._lost(link.process, reason)

    def _deliver(self, worker: int, message: Message) -> None:
        index = worker - self._first
        self._workers[index].deliver(message)
        self._wakeups[index].set()
