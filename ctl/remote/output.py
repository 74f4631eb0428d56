"""What a process writes: kept in its log, without secrets."""

import time
from pathlib import Path

from ctl.remote.hiding import Hiding
from ctl.remote.logfile import LogWriter

_TAIL_LINES = 80
_TAIL_BYTES = 16 << 10


class Output:
    """The output of one process.

    Args:
        log: Folder of its log.
        secrets: Variables whose values it must not show.

    Raises:
        OSError: If the log cannot be written.
    """

    def __init__(self, log: Path, secrets: dict[str, str]) -> None:
        self._log = LogWriter(log)
        self._hiding = Hiding(secrets)
        self._tail: list[bytes] = []

    @property
    def cursor(self) -> tuple[int, int]:
        """Where the next line comes in the log."""
        return self._log.cursor

    @property
    def tail(self) -> str:
        """The end of the stderr of this start."""
        return b"\n".join(self._tail)[-_TAIL_BYTES:].decode("utf-8", "replace")

    def begin(self) -> None:
        """It is started anew."""
        self._tail.clear()

    def keep(self, kind: bytes, lines: list[bytes]) -> None:
        """Keep lines of its stdout (`o`) or stderr (`e`)."""
        if not lines:
            return
        lines = self._hiding.lines(lines)
        self._log.write(kind, lines, time.time())
        if kind == b"e":
            self._tail = (self._tail + lines)[-_TAIL_LINES:]

    def note(self, lines: list[bytes]) -> None:
        """Keep lines that are not its own."""
        self._log.write(b"e", lines, time.time())
