"""The relay of a process, as its supervisor starts, hears and ends it."""

import os
import select
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from ctl.remote.logfile import Lines

_READY = b"ready"
_READY_SECONDS = 10.0
_RESTART_SECONDS = 0.5
_READ = 64 << 10
_FLAGS = ("-I", "-S", "-X", "utf8")
_PROGRAM = (
    "import sys; sys.path.insert(0, sys.argv.pop(1)); "
    "from ctl.remote.relay.program import main; main(sys.argv[1:])"
)


class RelayProcess:
    """The program `ctl.remote.relay.program`, once it is started.

    Args:
        launch: File with the launch.
        process: ID of the process.
        say: Takes the lines that it writes, marked as its own.
        in_child: Is called in each new one, before the program.
    """

    def __init__(
        self,
        launch: Path,
        process: int,
        say: Callable[[list[bytes]], None],
        in_child: Callable[[], None],
    ) -> None:
        agent = Path(__file__).parents[2]
        words = (sys.executable, *_FLAGS, "-c", _PROGRAM, agent, launch, process)
        self._words = [str(word) for word in words]
        self._say, self._in_child = say, in_child
        self._child: subprocess.Popen[bytes] | None = None
        self._lines = Lines()
        self._is_ready = False
        self._due: float | None = None

    @property
    def fd(self) -> int:
        """Where its output comes from; call `take` when there is any."""
        assert self._child is not None
        assert self._child.stderr is not None
        return self._child.stderr.fileno()

    @property
    def is_there(self) -> bool:
        """Whether it was started, and its end was not seen yet."""
        return self._child is not None

    @property
    def due(self) -> float | None:
        """When it is to be started again, as the clock `CLOCK_BOOTTIME`."""
        return self._due

    def ensure(self) -> bool:
        """Start it unless it runs; tell whether it listens, so that an engine can be started."""
        if self._child is None:
            self._start()
        until = _clock() + _READY_SECONDS
        while not self._is_ready and (left := until - _clock()) > 0:
            readable, _, _ = select.select([self.fd], [], [], left)
            if readable and not self.take():
                self._due = None
                return False
        return self._is_ready

    def start_if_due(self) -> bool:
        """Start it again once it is time to; tell whether it was started."""
        if self._due is None or _clock() < self._due:
            return False
        self._start()
        return True

    def take(self) -> bool:
        """Pass on what it has written; tell whether more may come: if not, it is started again."""
        assert self._child is not None
        data = os.read(self.fd, _READ)
        lines = self._lines.feed(data) if data else self._lines.rest()
        if _READY in lines:
            lines.remove(_READY)
            self._is_ready = True
        if not data:
            code = self._reap()
            if code:
                how = f"by signal {-code}" if code < 0 else f"with exit code {code}"
                lines.append(f"it ended {how}".encode())
            self._due = _clock() + _RESTART_SECONDS
        if lines:
            self._say([b"hostmesh relay: " + line for line in lines])
        return bool(data)

    def drain(self) -> None:
        """Have it take nothing new, and end once all that it carries has ended."""
        self._due = None
        if self._child is not None:
            assert self._child.stdin is not None
            self._child.stdin.close()

    def kill(self) -> None:
        """End it at once; what it carries is reset."""
        if self._child is not None:
            self._child.kill()
            self._reap()

    def _start(self) -> None:
        self._due, self._is_ready, self._lines = None, False, Lines()
        self._child = subprocess.Popen(  # noqa: S603  # our own program
            self._words,
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            bufsize=0,
            cwd="/",
            start_new_session=True,
            preexec_fn=self._in_child,  # noqa: PLW1509  # a supervisor has no threads
        )

    def _reap(self) -> int:
        assert self._child is not None
        child, self._child = self._child, None
        # It has closed its output, so it ends.
        code = child.wait()
        for stream in (child.stdin, child.stderr):
            if stream is not None:
                stream.close()
        return code


def _clock() -> float:
    return time.clock_gettime(time.CLOCK_BOOTTIME)
