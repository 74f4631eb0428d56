"""Answer for the health of a process over HTTP, and ask another process for it.

    /livez     200 while the process and its worker threads live
    /readyz    200 when the cluster is assembled and runs, 503 with the reason otherwise
    /status    all counters as JSON
    /metrics   the same for Prometheus

It listens on a Unix socket that only its owner may use, or on a loopback port.
`python -m engine.health PATH` asks.
"""

import contextlib
import io
import logging
import os
import selectors
import socket
import stat
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NoReturn

from engine.errors import ConfigurationError, PeerUnavailableError, UsageError
from engine.metrics import ProcessStats, prometheus_text
from engine.settings import Address

PAGES = ("livez", "readyz", "status", "metrics")
TIME_LIMIT = 5.0
"""Seconds that a client may take to ask, and again to read the answer."""
CONNECTION_LIMIT = 16
"""Connections at once; one more closes the oldest."""

_OK, _UNAVAILABLE = 200, 503
_BACKLOG = 128
_HEAD_LIMIT = 8_192
_PATH_LIMIT = 107
_log = logging.getLogger("engine.health")

Where = Path | Address


def parse_where(text: str) -> Where:
    """Read the path of a Unix socket, or `host:port` on loopback.

    Raises:
        ConfigurationError: If it is empty, no address, or an address beyond loopback.
    """
    if not text or "\0" in text:
        msg = "health: the path of a Unix socket, or host:port on loopback, is needed"
        raise ConfigurationError(msg)
    if "/" in text or ":" not in text:
        return Path(text).absolute()
    address = Address.parse(text)
    if not address.is_loopback:
        msg = f"health address {text}: only a loopback address is allowed, such as 127.0.0.1"
        raise ConfigurationError(msg)
    return Address("127.0.0.1", address.port) if address.host == "localhost" else address


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
            listener = _listen_on_port(self._where)
        else:
            listener, self._inode = _listen_on_path(self._where)
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
            _remove(self._where, self._inode)

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


def respond(head: bytes, stats: ProcessStats) -> bytes:
    """Answer one HTTP request.

    Args:
        head: Request line and headers, up to and with the empty line.
        stats: The counters to answer from.
    """
    # It brings ssl and the email package along, which only a process that is asked needs.
    from http.server import BaseHTTPRequestHandler

    answer = io.BytesIO()

    class Exchange(BaseHTTPRequestHandler):
        server_version, sys_version = "hostmesh", ""
        error_content_type, error_message_format = "text/plain; charset=utf-8", "%(explain)s\n"

        def setup(self) -> None:
            self.rfile = io.BytesIO(head)
            self.wfile = answer

        def finish(self) -> None:
            pass

        def do_GET(self) -> None:
            name = self.path.partition("?")[0].removeprefix("/")
            if name not in PAGES:
                self.send_error(404, explain=f"there is no such page; there are {', '.join(PAGES)}")
                return
            try:
                code, kind, body = _page(name, stats)
            except Exception as error:
                _log.exception("health: /%s cannot be answered", name)
                code, kind, body = 500, "text/plain", f"{type(error).__name__}\n".encode()
            self.send_response(code)
            self.send_header("Content-Type", f"{kind}; charset=utf-8")
            self.send_header("Content-Length", str(len(body)))
            self.send_header("Cache-Control", "no-store")
            self.end_headers()
            self.wfile.write(body)

        def _refuse(self) -> None:
            self.send_error(405, explain="only GET is answered here")

        # The names that the base class looks for.
        do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = do_OPTIONS = _refuse  # noqa: N815

        def log_message(self, *_: Any) -> None:
            pass

    Exchange(None, ("", 0), None)  # type: ignore[arg-type]  # setup() takes bytes, not a socket
    return answer.getvalue()


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


def _page(name: str, stats: ProcessStats) -> tuple[int, str, bytes]:
    if name == "metrics":
        return _OK, "text/plain; version=0.0.4", prometheus_text(stats)
    if name == "status":
        import json  # See `respond`.

        return _OK, "application/json", json.dumps(stats.status(), indent=2).encode() + b"\n"
    reason = stats.not_alive() if name == "livez" else stats.not_ready()
    return _OK if reason is None else _UNAVAILABLE, "text/plain", f"{reason or 'ok'}\n".encode()


def ask(where: str, page: str, time_limit: float = TIME_LIMIT) -> tuple[int, str]:
    """Ask a process for a page.

    Args:
        where: Path of its Unix socket, or `host:port` on loopback.
        page: One of `PAGES`.
        time_limit: Seconds to wait for it.

    Returns:
        HTTP status and text.

    Raises:
        ConfigurationError: If `where` is neither.
        PeerUnavailableError: If nobody answers.
    """
    from http.client import HTTPConnection, HTTPException  # See `respond`.

    place = parse_where(where)
    client = HTTPConnection("localhost")
    try:
        client.sock = _connect(place, time_limit)
        client.request("GET", f"/{page}")
        response = client.getresponse()
        return response.status, response.read().decode("utf-8", "replace")
    except (OSError, HTTPException) as error:
        msg = f"no process answers at {where}: {_reason(error)}"
        raise PeerUnavailableError(msg) from error
    finally:
        client.close()


def _listen_on_port(address: Address) -> socket.socket:
    family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
    try:
        return socket.create_server(address, family=family, backlog=_BACKLOG)
    except OSError as error:
        msg = f"health address {address} cannot be listened on: {_reason(error)}"
        raise PeerUnavailableError(msg) from error


def _listen_on_path(path: Path) -> tuple[socket.socket, tuple[int, int]]:
    """Listen on a new socket; with it goes what tells its file from a later one's."""
    listener = socket.socket(socket.AF_UNIX)
    try:
        with _socket_name(path) as name:
            _clear(path, name)
            listener.bind(name)
            # Nobody can connect before `listen`, so that there is no moment of a wider mode.
            path.chmod(0o600)
            listener.listen(_BACKLOG)
            made = path.lstat()
    except (ConfigurationError, PeerUnavailableError):
        listener.close()
        raise
    except OSError as error:
        listener.close()
        msg = f"health socket {path} cannot be listened on: {_reason(error)}"
        raise PeerUnavailableError(msg) from error
    return listener, (made.st_dev, made.st_ino)


def _clear(path: Path, name: str) -> None:
    """Remove the socket of a process that is gone."""
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(mode):
        msg = f"health socket {path}: there is a file of that name already; choose another path"
        raise ConfigurationError(msg)
    with socket.socket(socket.AF_UNIX) as probe:
        probe.settimeout(1.0)
        try:
            probe.connect(name)
        except ConnectionRefusedError:
            path.unlink(missing_ok=True)
            return
    msg = f"health socket {path}: a running process answers there already"
    raise PeerUnavailableError(msg)


def _remove(path: Path, inode: tuple[int, int] | None) -> None:
    """Remove the own socket, but not that of a process that came later."""
    with contextlib.suppress(OSError):
        found = path.lstat()
        if (found.st_dev, found.st_ino) == inode:
            path.unlink()


@contextlib.contextmanager
def _socket_name(path: Path) -> Iterator[str]:
    """A name for a socket that fits into an address, however long the path of its folder is."""
    if len(os.fsencode(path)) <= _PATH_LIMIT:
        yield str(path)
        return
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        name = f"/proc/self/fd/{folder}/{path.name}"
        if len(os.fsencode(name)) > _PATH_LIMIT or not Path(name).parent.is_dir():
            msg = (
                f"health socket {path}: the path of a Unix socket has at most {_PATH_LIMIT} "
                f"bytes here; choose a shorter one"
            )
            raise ConfigurationError(msg)
        yield name
    finally:
        os.close(folder)


def _connect(place: Where, time_limit: float) -> socket.socket:
    if isinstance(place, Address):
        return socket.create_connection(place, time_limit)
    connection = socket.socket(socket.AF_UNIX)
    try:
        connection.settimeout(time_limit)
        with _socket_name(place) as name:
            connection.connect(name)
    except BaseException:
        connection.close()
        raise
    return connection


def _reason(error: Exception) -> str:
    text = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return str(text)


def main(arguments: Sequence[str] | None = None) -> int:
    """Ask a process, print its answer, and say by the exit code whether it was good."""
    import argparse  # Only this command line needs it.

    class Parser(argparse.ArgumentParser):
        def error(self, message: str) -> NoReturn:
            self.print_usage(sys.stderr)
            self.exit(UsageError.exit_code, f"error: {message}\n")

    parser = Parser(
        prog="python -m engine.health",
        description="Ask a running process of a dataflow how it is.",
        epilog="exit codes: 0 the answer is good; 64 wrong usage; "
        "69 nobody answers, or the process is not ready or not alive",
    )
    parser.add_argument("where", metavar="PATH", help="its Unix socket, or host:port on loopback")
    parser.add_argument(
        "page",
        nargs="?",
        default="status",
        choices=PAGES,
        help="livez: do its threads live; readyz: is it assembled and running; "
        "status: counters as JSON (default); metrics: counters for Prometheus",
    )
    asked = parser.parse_args(arguments)
    try:
        code, text = ask(asked.where, asked.page)
    except ConfigurationError as error:
        parser.error(str(error))
    except PeerUnavailableError as error:
        sys.stderr.write(f"error: {error}\n")
        return error.exit_code
    is_good = code == _OK
    (sys.stdout if is_good else sys.stderr).write(text)
    return 0 if is_good else PeerUnavailableError.exit_code


if __name__ == "__main__":
    sys.exit(main())
