"""Wait for sockets and for calls from other threads."""

import selectors
import socket
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress

_LONGEST_WAIT = 60.0
_LATE = 1.0


class Loop:
    """One thread's view of the world: what became ready, and what others want done.

    All methods except `call` are for that thread only.
    """

    def __init__(self) -> None:
        self._selector = selectors.DefaultSelector()
        self._calls: deque[Callable[[], None]] = deque()
        self._bell, self._ringer = socket.socketpair()
        for end in (self._bell, self._ringer):
            end.setblocking(False)
        self._was_late = False
        self.watch(self._bell, self._hear_bell)

    def call(self, function: Callable[[], None]) -> None:
        """Have a function called in the loop's thread; for any thread."""
        self._calls.append(function)
        # A full pipe rings already; a closed one belongs to a loop that has ended.
        with suppress(OSError):
            self._ringer.send(b"!")

    def watch(
        self,
        sock: socket.socket | int,
        callback: Callable[[], None],
        *,
        reads: bool = True,
        writes: bool = False,
    ) -> None:
        """Call back whenever a socket is ready, in place of what was said of it before."""
        mask = selectors.EVENT_READ * reads | selectors.EVENT_WRITE * writes
        known = self._selector.get_map().get(sock)
        if known is None:
            if mask:
                self._selector.register(sock, mask, callback)
        elif not mask:
            self._selector.unregister(sock)
        elif known.events != mask:
            self._selector.modify(sock, mask, callback)

    def forget(self, sock: socket.socket | int) -> None:
        """Watch a socket no more; before it is closed."""
        if sock in self._selector.get_map():
            self._selector.unregister(sock)

    def turn(self, wake_at: float) -> bool:
        """Wait until something is ready, or for a time, and make all calls that are due.

        Args:
            wake_at: Monotonic seconds until which to wait at most.

        Returns:
            Whether time limits can be judged: not on first seeing that the process was
            stopped or starved, as there may be things to read that it has not seen yet.
        """
        began = time.monotonic()
        timeout = min(max(0.0, wake_at - began), _LONGEST_WAIT)
        for key, _ in self._selector.select(timeout):
            # One callback may have taken another's socket away.
            if self._selector.get_map().get(key.fd) is key:
                key.data()
        while self._calls:
            self._calls.popleft()()
        late = time.monotonic() > began + timeout + _LATE
        trusted = self._was_late or not late
        self._was_late = late
        return trusted

    def close(self) -> None:
        """Let go of everything; calls that come later are not made."""
        self._selector.close()
        self._bell.close()
        self._ringer.close()

    def _hear_bell(self) -> None:
        with suppress(BlockingIOError):
            self._bell.recv(4096)
