"""Runs `ctl`, and has its deploy wait at one point; a program that tests run.

    saboteur.py PHASE HOST STATE WORD...

HOST is a name, or `-` for the phase of all hosts; the words are those of `ctl`. At the point, the
first time it comes, this prints a line and waits for another on stdin.
"""

import signal
import sys
from unittest.mock import patch

from ctl.cli import deploy, main
from ctl.progress import PhaseName, PhaseState
from ctl.ui.live import PlainView


class Waiting(PlainView):
    """Shows what it would show, and waits at a point."""

    def __init__(self, point: tuple[str, str, str]) -> None:
        super().__init__()
        self._point: tuple[str, str, str] | None = point

    def phase(self, name: PhaseName, host: str | None, state: PhaseState, detail: str = "") -> None:
        super().phase(name, host, state, detail)
        if (name, host or "-", state) == self._point:
            self._point = None
            print("now", flush=True)
            sys.stdin.readline()


if __name__ == "__main__":
    _, phase, host, state, *sys.argv[1:] = sys.argv
    # Whatever runs the tests may ignore it, as a shell has what it starts in the background do.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    with patch.object(deploy, "working_view", lambda: Waiting((phase, host, state))):
        main()
