"""Lines of a relay about what goes wrong, never more than somebody can read."""

from collections.abc import Callable

BURST, WINDOW_SECONDS = 10, 10.0


class Complaints:
    """Says what goes wrong; of much at once, a few lines and a count.

    Args:
        write: Takes each line.
        clock: Seconds of a monotonic clock.
    """

    def __init__(self, write: Callable[[str], None], clock: Callable[[], float]) -> None:
        self._write, self._clock = write, clock
        self._start, self._said, self._left_out = clock(), 0, 0
        self._last: dict[int, str] = {}

    def say(self, text: str) -> None:
        """Say something, or count it."""
        self.flush()
        if self._said >= BURST:
            self._left_out += 1
            return
        self._said += 1
        self._write(text)

    def say_of(self, peer: int, text: str) -> None:
        """Say something of a peer, unless it is what was said last of it."""
        if self._last.get(peer) != text:
            self._last[peer] = text
            self.say(text)

    def forget(self, peer: int) -> None:
        """Say it again when it happens again."""
        self._last.pop(peer, None)

    def flush(self) -> None:
        """Say how much was left out, once the time for that has come."""
        if self._clock() - self._start < WINDOW_SECONDS:
            return
        if self._left_out:
            self._write(f"{self._left_out} more lines were left out")
        self._start, self._said, self._left_out = self._clock(), 0, 0
