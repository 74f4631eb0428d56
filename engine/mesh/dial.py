"""Reach an address without waiting for it."""

import errno
import os
import socket
import threading
import time
from collections.abc import Callable
from typing import Any

from engine.mesh.loop import Loop
from engine.settings import Address

_WORDS = {
    errno.ECONNREFUSED: "refused",
    errno.ETIMEDOUT: "timed out",
    errno.EHOSTUNREACH: "no route to host",
    errno.ENETUNREACH: "no route to host",
}

_Found = tuple[int, Any]  # address family, socket address


class Dial:
    """One attempt to connect, from looking up the name to the connected socket.

    Args:
        loop: Of the thread that makes it.
        address: Where to.
        limit: Seconds for the name, and for each address that it stands for.
        done: Called once, with the socket or with why there is none.
    """

    def __init__(
        self,
        loop: Loop,
        address: Address,
        limit: float,
        done: Callable[[socket.socket | str], None],
    ) -> None:
        self.deadline = time.monotonic() + limit
        self._loop = loop
        self._limit = limit
        self._done = done
        self._finished = False
        self._sock: socket.socket | None = None
        self._candidates: list[_Found] = []
        try:
            found = find(address, socket.AI_NUMERICHOST)
        except (OSError, UnicodeError):
            # A name server may take its time, and nothing can interrupt `getaddrinfo`.
            threading.Thread(target=self._look_up, args=(address,), daemon=True).start()
        else:
            loop.call(lambda: self._begin(found))

    def tick(self, now: float) -> None:
        """Give up what takes too long."""
        if now >= self.deadline and not self._finished:
            if self._sock is None:
                self._finish("timed out looking up its name")
            else:
                self._next("timed out")

    def stop(self) -> None:
        """Forget about it; `done` is not called any more."""
        self._finished = True
        self._close()

    def _look_up(self, address: Address) -> None:
        found: list[_Found] | str
        try:
            found = find(address)
        except socket.gaierror as error:
            known = error.errno in (socket.EAI_NONAME, getattr(socket, "EAI_NODATA", None))
            found = "name not known" if known else f"name not known ({error.strerror})"
        except (OSError, UnicodeError) as error:
            found = f"name not known ({error})"
        self._loop.call(lambda: self._begin(found))

    def _begin(self, found: list[_Found] | str) -> None:
        if self._finished:
            return
        if isinstance(found, str):
            self._finish(found)
        else:
            self._candidates = found
            self._next("no address")

    def _next(self, reason: str) -> None:
        """Try the next address; if there is none, that reason is the last word."""
        self._close()
        if not self._candidates:
            self._finish(reason)
            return
        family, address = self._candidates.pop(0)
        self.deadline = time.monotonic() + self._limit
        try:
            self._sock = socket.socket(family, socket.SOCK_STREAM)
            self._sock.setblocking(False)
            code = self._sock.connect_ex(address)
        except OSError as error:
            self._next(error.strerror or str(error))
            return
        if code in (0, errno.EINPROGRESS):
            self._loop.watch(self._sock, self._check, reads=False, writes=True)
        else:
            self._next(_word(code))

    def _check(self) -> None:
        assert self._sock is not None
        code = self._sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if code:
            self._next(_word(code))
        elif _meets_itself(self._sock):
            self._next("refused")
        else:
            sock, self._sock = self._sock, None
            self._loop.forget(sock)
            self._finish(sock)

    def _finish(self, result: socket.socket | str) -> None:
        self._finished = True
        self._done(result)

    def _close(self) -> None:
        if self._sock is not None:
            self._loop.forget(self._sock)
            self._sock.close()
            self._sock = None


def find(address: Address, flags: int = 0) -> list[_Found]:
    """The socket addresses that a host and port stand for.

    Raises:
        OSError: If there are none.
    """
    host, port = address
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=flags)
    return [(int(family), sockaddr) for family, _, _, _, sockaddr in found]


def _meets_itself(sock: socket.socket) -> bool:
    """Whether the system gave the socket, as its own port, the one that it dials."""
    try:
        return bool(sock.getsockname() == sock.getpeername())
    except OSError:
        return False


def _word(code: int) -> str:
    return _WORDS.get(code) or os.strerror(code).lower()
