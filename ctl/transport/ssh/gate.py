"""Limits how many hosts are connected to at once, and tries again where that was too many.

sshd drops some of the connections that have not logged in yet when there are more than ten of them
(`MaxStartups 10:30:100`), and a bastion stands for all hosts behind it.
"""

import random
import threading
import time
from collections import defaultdict
from collections.abc import Callable
from typing import TypeVar

from ctl.errors import UnreachableError

T = TypeVar("T")

_FIRST_PAUSE_SECONDS = 0.25
_LONGEST_PAUSE_SECONDS = 2.0


class DroppedError(UnreachableError):
    """The server closed the connection before the login; another try may well succeed."""


class Gate:
    """Lets so many in at once.

    Args:
        hosts: How many connect at the same time.
        handshakes: How many of them to the same first server.
        tries: How often a connection that the server drops is tried.
        sleep: Waits for so many seconds.
        jitter: A random number from 0 to 1.
    """

    def __init__(
        self,
        *,
        hosts: int = 32,
        handshakes: int = 8,
        tries: int = 7,
        sleep: Callable[[float], None] = time.sleep,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self._hosts = threading.Semaphore(hosts)
        self._lock = threading.Lock()
        self._servers: defaultdict[tuple[str, int], threading.Semaphore] = defaultdict(
            lambda: threading.Semaphore(handshakes)
        )
        self._tries = tries
        self._sleep = sleep
        self._jitter = jitter

    def run(self, server: tuple[str, int], connect: Callable[[], T]) -> T:
        """Connect when it is this one's turn.

        Args:
            server: Name and port of the first server on the way.
            connect: Makes one attempt.

        Raises:
            DroppedError: If every attempt was dropped; other errors of `connect` pass at once.
        """
        with self._lock:
            of_server = self._servers[server]
        attempt = 1
        while True:
            # Who waits for a busy server must not take the place of a host that is somewhere else.
            with of_server, self._hosts:
                try:
                    return connect()
                except DroppedError:
                    if attempt == self._tries:
                        raise
            # Half of it at random, so that those dropped together do not come back together.
            pause = min(_FIRST_PAUSE_SECONDS * 2 ** (attempt - 1), _LONGEST_PAUSE_SECONDS)
            self._sleep(pause * (0.5 + self._jitter() / 2))
            attempt += 1
