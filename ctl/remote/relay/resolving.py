"""Finds the addresses of names without holding up the loop."""

import contextlib
import socket
import threading
from collections import deque
from collections.abc import Callable
from typing import Any

from ctl.remote.relay.loop import IN, Loop
from ctl.remote.relay.sockets import Place

Found = tuple[socket.AddressFamily, Any] | None


class Resolver:
    """Looks up names, each in a thread that says when it is done.

    Args:
        loop: In which answers are given.
    """

    def __init__(self, loop: Loop) -> None:
        self._answers: deque[tuple[Callable[[Found], None], Found]] = deque()
        self._mine, self._theirs = socket.socketpair()
        self._mine.setblocking(False)
        loop.watch(self._mine.fileno(), IN, self._ready)

    def find(self, place: Place, done: Callable[[Found], None]) -> None:
        """Find the address of a place; the answer comes later if that may take time.

        Args:
            place: Host and port.
            done: Is given the address, or None.
        """
        with contextlib.suppress(OSError):
            # What is no name needs nobody to be asked.
            done(_look_up(place, socket.AI_NUMERICHOST))
            return
        threading.Thread(target=self._ask, args=(place, done), daemon=True).start()

    def _ask(self, place: Place, done: Callable[[Found], None]) -> None:
        found = None
        with contextlib.suppress(OSError, UnicodeError):
            found = _look_up(place)
        self._answers.append((done, found))
        self._theirs.send(b"!")

    def _ready(self, _events: int) -> None:
        with contextlib.suppress(BlockingIOError):
            self._mine.recv(4096)
        while self._answers:
            done, found = self._answers.popleft()
            done(found)


def _look_up(place: Place, flags: int = 0) -> Found:
    found = socket.getaddrinfo(*place, type=socket.SOCK_STREAM, flags=flags)[0]
    return found[0], found[4]
