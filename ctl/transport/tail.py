"""The end of what a command writes to standard error."""

import re
import threading
from collections.abc import Callable

_KEPT_BYTES = 4096
_READ_BYTES = 1 << 16
_PATIENCE_SECONDS = 0.5

# Control sequences, operating system commands such as titles, other escapes, and controls.
_ESCAPES = re.compile(
    r"\x1b\[[0-?]*[ -/]*[@-~]?"
    r"|\x1b[\]PX^_][^\x07\x1b]*(?:\x07|\x1b\\)?"
    r"|\x1b[ -/]*[0-~]?"
    r"|[\x00-\x08\x0b-\x1f\x7f-\x9f]"
)


class Tail:
    """Reads a stream to its end in a thread of its own, and keeps the last 4 KiB.

    Reading never stops, since a command whose standard error is full stands still.

    Args:
        read: Waits for at most so many bytes; empty at the end.
    """

    def __init__(self, read: Callable[[int], bytes]) -> None:
        self._read = read
        self._kept = b""
        self._thread = threading.Thread(target=self._run, name="standard error", daemon=True)
        self._thread.start()

    def text(self, *, ended: bool) -> str:
        """What has been kept.

        Args:
            ended: Whether no more output is expected, so that the last of it is worth a short wait.
        """
        if ended:
            self._thread.join(_PATIENCE_SECONDS)
        return clean(self._kept.decode("utf-8", "replace"))

    def _run(self) -> None:
        try:
            while data := self._read(_READ_BYTES):
                self._kept = (self._kept + data)[-_KEPT_BYTES:]
        except (OSError, ValueError):
            pass  # It was closed on this side.


def clean(text: str) -> str:
    r"""Remove what a terminal would act upon.

    >>> clean("\x1b[31mno\x1b[0m such file\r\n")
    'no such file\n'
    """
    return _ESCAPES.sub("", text)
