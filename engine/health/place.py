"""Where health is answered: a Unix socket or a loopback port, and how to listen and connect."""

import contextlib
import os
import socket
import stat
from collections.abc import Iterator
from pathlib import Path

from engine.errors import ConfigurationError, PeerUnavailableError
from engine.settings import Address

_BACKLOG = 128
_PATH_LIMIT = 107

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


def listen_on_port(address: Address) -> socket.socket:
    """Listen on a loopback port.

    Raises:
        PeerUnavailableError: If it cannot be listened on.
    """
    family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
    try:
        return socket.create_server(address, family=family, backlog=_BACKLOG)
    except OSError as error:
        msg = f"health address {address} cannot be listened on: {reason(error)}"
        raise PeerUnavailableError(msg) from error


def listen_on_path(path: Path) -> tuple[socket.socket, tuple[int, int]]:
    """Listen on a new socket; with it goes what tells its file from a later one's.

    Raises:
        ConfigurationError: If the path cannot be that of a Unix socket.
        PeerUnavailableError: If something else answers there, or it cannot be listened on.
    """
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
        msg = f"health socket {path} cannot be listened on: {reason(error)}"
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


def remove(path: Path, inode: tuple[int, int] | None) -> None:
    """Remove the own socket, but not that of a process that came later."""
    with contextlib.suppress(OSError):
        found = path.lstat()
        if (found.st_dev, found.st_ino) == inode:
            path.unlink()


def connect(place: Where, time_limit: float) -> socket.socket:
    """Connect to a process; each call on the socket takes no longer than the limit.

    Raises:
        ConfigurationError: If the path cannot be that of a Unix socket.
        OSError: If nobody listens there.
    """
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


def reason(error: Exception) -> str:
    """What went wrong, in few words."""
    text = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return str(text)


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
