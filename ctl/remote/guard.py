"""Have what a supervisor has started killed once it is gone."""

import contextlib
import ctypes
import os
import signal
from collections.abc import Callable

_PR_SET_PDEATHSIG = 1
_LIBC = ctypes.CDLL(None, use_errno=True)


def dying_with_us() -> Callable[[], None]:
    """What a new process does so that it is killed when we end, however that happens."""
    supervisor = os.getpid()

    def die_with_us() -> None:
        _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != supervisor:
            os._exit(1)

    return die_with_us


class Guard:
    """A process that kills what is left of ours once we are gone, however that happened."""

    def __init__(self) -> None:
        read_fd, self._write_fd = os.pipe()
        self._pid = os.fork()
        if self._pid == 0:
            try:
                self._guard(read_fd)
            finally:
                os._exit(0)
        os.close(read_fd)

    def watch(self, group: int) -> None:
        """Have a process group killed."""
        self._say(group)

    def forget(self) -> None:
        """Kill nothing for now."""
        self._say(0)

    def close(self) -> None:
        """End it."""
        self.forget()
        os.close(self._write_fd)
        os.waitpid(self._pid, 0)

    def _say(self, group: int) -> None:
        # Without a guard, the process still dies with us, if not what it has started.
        with contextlib.suppress(BrokenPipeError):
            os.write(self._write_fd, b"%d\n" % group)

    def _guard(self, read_fd: int) -> None:
        os.setsid()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
        # The lock above all must not outlive its holder.
        os.closerange(0, read_fd)
        os.closerange(read_fd + 1, 1 << 12)
        said = b""
        while more := os.read(read_fd, 4096):
            said = (said + more)[-64:]
        group = int(said.split()[-1]) if said.split() else 0
        if group:
            with contextlib.suppress(OSError):
                os.killpg(group, signal.SIGKILL)
