"""Find out before anything is started whether hosts reach each other's mesh ports."""

import contextlib
import errno
import os
import socket
from typing import Any

from ctl.remote.connections import is_listened_on


class Listeners:
    """Listens where processes will, while others try to connect."""

    def __init__(self) -> None:
        self._sockets: list[socket.socket] = []

    def open(self, places: list[list[Any]]) -> list[str | None]:
        """Listen on each `[host, port]`; give for each why it cannot be, if so."""
        return [self._open(str(host), int(port)) for host, port in places]

    def close(self) -> None:
        """Listen no more."""
        for each in self._sockets:
            each.close()
        self._sockets.clear()

    def _open(self, host: str, port: int) -> str | None:
        try:
            family, _, _, _, address = socket.getaddrinfo(
                host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
            )[0]
            listener = socket.socket(family)
            # A listener that connections wait at, unread, is all that a dialer needs.
            self._sockets.append(listener)
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(address)
            listener.listen(128)
        except (OSError, UnicodeError) as error:
            return _listen_reason(error, port)
        return None


def dial(places: list[list[Any]], timeout: float) -> list[str | None]:
    """Connect to each `[host, port]` at once; give for each why it cannot be, if so.

    Args:
        places: Where to.
        timeout: Seconds for each.
    """
    if not places:
        return []
    # Slow to import, and most sessions dial nothing.
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(min(32, len(places))) as pool:
        return list(pool.map(lambda place: _dial(str(place[0]), int(place[1]), timeout), places))


def _dial(host: str, port: int, timeout: float) -> str | None:
    try:
        with contextlib.closing(socket.create_connection((host, port), timeout)):
            return None
    except TimeoutError:
        return "timed out; a firewall may drop it"
    except ConnectionRefusedError:
        return "refused; a firewall may reject it, or `bind` is another address"
    except (socket.gaierror, UnicodeError):
        return "name not known"
    except OSError as error:
        if error.errno in (errno.EHOSTUNREACH, errno.ENETUNREACH):
            return "no route; a firewall may reject it"
        return os.strerror(error.errno) if error.errno else str(error)


def _listen_reason(error: OSError | UnicodeError, port: int) -> str:
    if isinstance(error, (socket.gaierror, UnicodeError)):
        return "name not known"
    if error.errno == errno.EADDRINUSE:
        if is_listened_on(port):
            return "in use by another program"
        return "in use by connections of a program that has ended; free in a minute"
    if error.errno == errno.EADDRNOTAVAIL:
        return "not an address of this host"
    if error.errno == errno.EACCES:
        return "not allowed for this user; ports below 1024 are for root"
    return error.strerror or str(error)
