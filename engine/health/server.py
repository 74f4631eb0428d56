"""Answer from the counters of a process, on threads of their own."""

import contextlib
import logging
import selectors
import socket
import threading
import time
from pathlib import Path

from engine.health.pages import respond
from engine.health.place import listen_on_path, listen_on_port, parse_where, remove
from engine.metrics import ProcessStats
from engine.settings import Address

TIME_LIMIT = 5.0
"""Seconds that a client may take to ask, and again to read the answer."""
CONNECTION_LIMIT = 16
"""Connections at once; one more closes the oldest."""

_HEAD_LIMIT = 8_192
_log = logging.getLogger("engine.health")


class HealthServer:
    """Answers from the counters of a process, in a daemon thread.

    Args:
        where: Path of a Unix socket, or `host:port` on loopback.
        stats: The counters, which others update.

    Raises:
        ConfigurationError: If `where` is neither.
    """

    def __init__(self, where: str, stats: ProcessStats) -> None:
        self._where = parse_where(where)
        self._stats = stats
        self._connections: dict[socket.socket, None] = {}
        self._lock = threading.Lock()
        self._listener: socket.socket | None = None
        self._inode: tuple[int, int] | None = None

    def start(self) -> None:
        """Listen and begin to answer.

        Raises:
            ConfigurationError: If the path cannot be that of a Unix socket.
            PeerUnavailableError: If something else answers there, or it cannot be listened on.
        """
        if isinstance(self._where, Address):
            listener = listen_on_port(self._where)
        else:
            listener, self._inode = listen_on_path(self._where)
        listener.setblocking(False)
        self._listener = listener
        self._stop, stopped = socket.socketpair()
        self._thread = threading.Thread(
            target=self._serve, args=(listener, stopped), name="health", daemon=True
        )
        self._thread.start()

    def close(self) -> None:
        """Stop answering and remove the socket; may be called again."""
        if self._listener is None:
            return
        self._stop.close()
        self._thread.join()
        self._listener.close()
        self._listener = None
        with self._lock:
            for connection in self._connections:
                _shut(connection)
        if isinstance(self._where, Path):
            remove(self._where, self._inode)

    def _serve(self, listener: socket.socket, stopped: socket.socket) -> None:
        with stopped, selectors.DefaultSelector() as selector:
            selector.register(listener, selectors.EVENT_READ)
            selector.register(stopped, selectors.EVENT_READ)
            while all(key.fileobj is listener for key, _ in selector.select()):
                try:
                    self._accept(listener)
                except BlockingIOError:
                    continue
                except (OSError, RuntimeError) as error:
                    _log.warning("health: a connection cannot be taken: %s", error)
                    # Out of descriptors or threads: the connection stays in the queue.
                    time.sleep(0.1)

    def _accept(self, listener: socket.socket) -> None:
        connection, _ = listener.accept()
        with self._lock:
            if len(self._connections) >= CONNECTION_LIMIT:
                oldest = next(iter(self._connections))
                del self._connections[oldest]
                _shut(oldest)
            self._connections[connection] = None
        try:
            threading.Thread(
                target=self._answer, args=(connection,), name="health client", daemon=True
            ).start()
        except RuntimeError:
            self._forget(connection)
            raise

    def _answer(self, connection: socket.socket) -> None:
        try:
            head = _read_head(connection, time.monotonic() + TIME_LIMIT)
            if head:
                connection.settimeout(TIME_LIMIT)
                connection.sendall(respond(head, self._stats))
        except OSError:
            pass  # The client is gone or too slow; that is its own affair.
        finally:
            self._forget(connection)

    def _forget(self, connection: socket.socket) -> None:
        with self._lock:
            self._connections.pop(connection, None)
            connection.close()


def _read_head(connection: socket.socket, deadline: float) -> bytes:
    """The head of a request, or nothing if it does not come whole and in time."""
    head = b""
    while b"\r\n\r\n" not in head and b"\n\n" not in head:
        remaining = deadline - time.monotonic()
        if remaining <= 0 or len(head) > _HEAD_LIMIT:
            return b""
        connection.settimeout(remaining)
        received = connection.recv(_HEAD_LIMIT)
        if not received:
            return b""
        head += received
    return head


def _shut(connection: socket.socket) -> None:
    """Wake the thread that waits for a connection; that thread closes it."""
    with contextlib.suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)
