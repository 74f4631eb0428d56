"""Carry messages between the workers of a process."""

import threading
from collections.abc import Sequence

from engine.messages import Message
from engine.settings import ClusterSettings
from engine.worker import Worker


class Plane:
    """The outlet of all workers of a process that has no peers.

    Args:
        settings: Of the process.
    """

    def __init__(self, settings: ClusterSettings) -> None:
        self._first = settings.process_id * settings.workers
        self._workers: Sequence[Worker] = ()
        self._wakeups = [threading.Event() for _ in range(settings.workers)]

    def attach(self, workers: Sequence[Worker]) -> None:
        """Say which workers messages are for; before any of them runs."""
        self._workers = workers

    # The outlet of the workers.

    def is_remote(self, worker: int) -> bool:  # noqa: ARG002  # there is nobody else
        """Whether messages to that worker have to be serialised."""
        return False

    def send(self, worker: int, message: Message) -> None:
        """Send without blocking."""
        index = worker - self._first
        self._workers[index].deliver(message)
        self.wake(index)

    # Called by the workers between their steps; `index` counts the workers of this process.

    def poll(self) -> None:
        """Move what can be moved, without waiting."""

    def wait(self, index: int, seconds: float) -> None:
        """Wait until there may be something to do for a worker."""
        wakeup = self._wakeups[index]
        wakeup.wait(seconds)
        wakeup.clear()

    def wake(self, index: int) -> None:
        """Have a worker look for something to do; callable from any thread."""
        self._wakeups[index].set()

    def wake_all(self) -> None:
        """Have all workers look for something to do; callable from any thread."""
        for index in range(len(self._wakeups)):
            self.wake(index)

    def close(self) -> None:
        """Close what is open."""
