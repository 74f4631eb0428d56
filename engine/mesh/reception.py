"""Let connections in, and keep those that are not known yet within bounds."""

import errno
import math
import socket
import time
from collections.abc import Callable

from engine.mesh.links import Link
from engine.mesh.loop import Loop
from engine.mesh.strangers import StrangerLog
from engine.settings import Address

_MOST_WAITING = 256
_ACCEPTED_AT_ONCE = 64
_PAUSE = 0.25


class Reception:
    """Accepts connections.

    When too many of them are not established the oldest one that has said nothing has to go,
    so that silent connections keep no peer out.

    Args:
        loop: Of the control thread.
        listener: Socket that listens.
        welcome: Makes a link of a connected socket and the address of its other end.
        strangers: Log of connections that are turned away.
    """

    def __init__(
        self,
        loop: Loop,
        listener: socket.socket,
        welcome: Callable[[socket.socket, str], Link],
        strangers: StrangerLog,
    ) -> None:
        self._loop = loop
        self._listener = listener
        self._welcome = welcome
        self._strangers = strangers
        self._waiting: dict[Link, None] = {}
        self._resume_at = math.inf

    def open(self) -> None:
        """Begin to accept."""
        self._loop.watch(self._listener, self._accept)

    def settled(self, link: Link) -> None:
        """Take note that a link is established or closed."""
        self._waiting.pop(link, None)

    def tick(self, now: float) -> None:
        """Accept again after a pause."""
        if now >= self._resume_at:
            self._resume_at = math.inf
            self.open()

    def next_tick(self) -> float:
        """When `tick` has something to do; infinity if never."""
        return self._resume_at

    def close(self) -> None:
        """Accept no more, and close the listener."""
        self._resume_at = math.inf
        if self._listener.fileno() >= 0:
            self._loop.forget(self._listener)
            self._listener.close()

    def _accept(self) -> None:
        for _ in range(_ACCEPTED_AT_ONCE):
            if self._listener.fileno() < 0:
                return  # what the last one said has ended the assembly
            try:
                sock, address = self._listener.accept()
            except BlockingIOError:
                return
            except OSError as error:
                if error.errno != errno.ECONNABORTED:
                    self._pause(error)
                return
            where = str(Address(*address[:2]))
            if len(self._waiting) >= _MOST_WAITING:
                self._make_room()
            try:
                link = self._welcome(sock, where)
            except OSError:
                sock.close()
                line = f"connection from {where} ended before it began"
                self._strangers.write(line, time.monotonic())
            else:
                self._waiting[link] = None
                link.serve()

    def _pause(self, error: OSError) -> None:
        """Wait for descriptors or memory, which closing other connections gives back."""
        now = time.monotonic()
        self._strangers.write(f"cannot accept connections for now: {error.strerror}", now)
        self._loop.forget(self._listener)
        self._resume_at = now + _PAUSE

    def _make_room(self) -> None:
        silent = (link for link in self._waiting if link.connection.silent)
        link = next(silent, None) or next(iter(self._waiting))
        reason = f"there are {_MOST_WAITING} more that are not done with their handshake"
        self._strangers.write(f"rejected connection from {link.where}: {reason}", time.monotonic())
        link.close()
