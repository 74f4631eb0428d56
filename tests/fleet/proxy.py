"""A TCP proxy that is slow, or silent, as a network may be.

It stands where the kernel has no way to delay packets. It delays what it forwards, not the
handshake of TCP, which is the kernel's: one round trip less than on a real network.
"""

import queue
import socket
import threading
import time
from contextlib import suppress
from typing import Self

CHUNK = 1 << 16


class Proxy:
    """Forwards connections to one address.

    Args:
        target: Where to; host and port.
        delay: Seconds that bytes spend on the way, in each direction; half a round trip.
        bandwidth: Bytes a second, in each direction of each connection; None for no limit.
        address: Where it listens; a free port by default.
    """

    def __init__(
        self,
        target: tuple[str, int],
        *,
        delay: float = 0.0,
        bandwidth: float | None = None,
        address: tuple[str, int] = ("127.0.0.1", 0),
    ) -> None:
        self.target = target
        self.delay = delay
        self.bandwidth = bandwidth
        self._listener = socket.create_server(address, backlog=128)
        self.address: tuple[str, int] = self._listener.getsockname()[:2]
        self._open = threading.Event()
        self._open.set()
        self._closed = False
        self._sockets: set[socket.socket] = set()
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()

    def cut(self) -> None:
        """Forward nothing any more, but keep all connections, as a broken cable does."""
        self._open.clear()

    def mend(self) -> None:
        """Forward again, what was held back first."""
        self._open.set()

    def reset(self) -> None:
        """Break all connections; new ones are welcome."""
        for each in list(self._sockets):
            _shut(each)

    def close(self) -> None:
        """Break all connections and take no more."""
        self._closed = True
        _shut(self._listener)
        self._listener.close()
        self._open.set()
        self.reset()
        for thread in self._threads:
            thread.join()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _accept(self) -> None:
        while not self._closed:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            self._start(self._connect, client)

    def _start(self, work: object, *arguments: object) -> None:
        thread = threading.Thread(target=work, args=arguments, daemon=True)  # type: ignore[arg-type]
        self._threads = [each for each in self._threads if each.is_alive()] + [thread]
        thread.start()

    def _connect(self, client: socket.socket) -> None:
        self._open.wait()
        try:
            server = socket.create_connection(self.target, 30)
        except OSError:
            client.close()
            return
        server.settimeout(None)
        pair = (client, server)
        self._sockets.update(pair)
        for each in pair:
            each.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if self._closed:
            self.reset()
        ways = [_Way(self, client, server), _Way(self, server, client)]
        for way in ways:
            way.start()
        for way in ways:
            way.join()
        self._sockets.difference_update(pair)
        for each in pair:
            each.close()


class _Way:
    """One direction of a connection: a thread that reads and stamps, one that waits and writes."""

    def __init__(self, proxy: Proxy, source: socket.socket, sink: socket.socket) -> None:
        self._proxy = proxy
        self._source = source
        self._sink = sink
        # A bound, so that a slow reader slows the writer down as TCP would.
        self._under_way: queue.Queue[tuple[float, bytes]] = queue.Queue(256)
        self._threads = [
            threading.Thread(target=work, daemon=True) for work in (self._read, self._write)
        ]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def join(self) -> None:
        for thread in self._threads:
            thread.join()

    def _read(self) -> None:
        sent = time.monotonic()
        data = b"-"
        while data:
            try:
                data = self._source.recv(CHUNK)
            except OSError:
                data = b""
            sent = max(sent, time.monotonic())
            if self._proxy.bandwidth:
                sent += len(data) / self._proxy.bandwidth
            self._under_way.put((sent + self._proxy.delay, data))

    def _write(self) -> None:
        # How Python waits for less than a second without a busy loop.
        nap = threading.Event()
        data = b"-"
        broken = False
        while data:
            due, data = self._under_way.get()
            if (left := due - time.monotonic()) > 0 and not self._proxy._closed:
                nap.wait(left)
            self._proxy._open.wait()
            if data and not broken:
                try:
                    self._sink.sendall(data)
                except OSError:
                    broken = True
                    _shut(self._source)
        # The other direction may go on: a connection can be closed by half.
        with suppress(OSError):
            self._sink.shutdown(socket.SHUT_WR)


def _shut(each: socket.socket) -> None:
    """Wake whoever reads from it or accepts on it."""
    with suppress(OSError):
        each.shutdown(socket.SHUT_RDWR)
