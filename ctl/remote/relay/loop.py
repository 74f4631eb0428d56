"""The one loop of a relay: sockets and times."""

import heapq
import itertools
import select
import socket
import time
from collections.abc import Callable

Handler = Callable[[int], None]
IN, OUT, GONE = select.EPOLLIN, select.EPOLLOUT, select.EPOLLERR | select.EPOLLHUP
ENDED = select.EPOLLRDHUP


class Timer:
    """Something that is due at some time, unless it is cancelled."""

    def __init__(self, action: Callable[[], None]) -> None:
        self.action: Callable[[], None] | None = action

    def cancel(self) -> None:
        """Do not do it."""
        self.action = None


class Loop:
    """Waits for sockets and times, and calls who waits for them."""

    def __init__(self) -> None:
        self._epoll = select.epoll()
        self._handlers: dict[int, tuple[Handler, int]] = {}
        self._timers: list[tuple[float, int, Timer]] = []
        self._numbers = itertools.count()
        self._closing: list[socket.socket] = []
        self.running = True

    @property
    def now(self) -> float:
        """Seconds of a monotonic clock."""
        return time.monotonic()

    def watch(self, fd: int, mask: int, handler: Handler) -> None:
        """Call somebody with the events of a descriptor; errors are always among them."""
        known = self._handlers.get(fd)
        if known is None:
            self._epoll.register(fd, mask)
        elif known[1] != mask:
            self._epoll.modify(fd, mask)
        self._handlers[fd] = (handler, mask)

    def ignore(self, fd: int) -> None:
        """Watch it no more."""
        if self._handlers.pop(fd, None) is not None:
            self._epoll.unregister(fd)

    def close(self, sock: socket.socket) -> None:
        """Watch a socket no more and close it.

        Events of this round may still name its descriptor, so no other socket gets it before.
        """
        if sock.fileno() >= 0:
            self.ignore(sock.fileno())
            self._closing.append(sock)

    def later(self, seconds: float, action: Callable[[], None]) -> Timer:
        """Do something after some time."""
        timer = Timer(action)
        heapq.heappush(self._timers, (self.now + seconds, next(self._numbers), timer))
        return timer

    def run(self) -> None:
        """Go on until `running` is unset."""
        while self.running:
            self.step()

    def step(self) -> None:
        """Wait for something, and do what it takes."""
        for fd, events in self._epoll.poll(self._pause()):
            if (known := self._handlers.get(fd)) is not None:
                known[0](events)
        # Times come after data: who was frozen for a while has heard something then.
        while self._timers and self._timers[0][0] <= self.now:
            timer = heapq.heappop(self._timers)[2]
            if timer.action is not None:
                timer.action()
        for sock in self._closing:
            sock.close()
        self._closing.clear()

    def _pause(self) -> float:
        while self._timers and self._timers[0][2].action is None:
            heapq.heappop(self._timers)
        if self._closing:
            return 0.0
        return max(0.0, self._timers[0][0] - self.now) if self._timers else -1
