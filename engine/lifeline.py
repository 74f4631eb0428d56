"""End this process when its launcher is gone, however that ended."""

import contextlib
import os
import signal
import sys
import threading
from typing import NoReturn

_PR_SET_PDEATHSIG = 1


def follow_parent(parent_fd: int) -> None:
    """Die with the process that holds the other end of a pipe.

    Linux kills this process at once, even if C code keeps the GIL; a thread that waits for
    the end of the pipe does so everywhere else, and if the launcher was gone before.

    Args:
        parent_fd: The end of the pipe that this process reads.
    """
    os.set_inheritable(parent_fd, False)
    if sys.platform == "linux":
        # Only a launched process needs it, and it is slow to import.
        import ctypes

        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    threading.Thread(target=_watch, args=(parent_fd,), name="lifeline", daemon=True).start()


class Guard:
    """Kills process groups as soon as this process is gone, however that ended.

    It is a process of its own, forked before there are threads: what user code has started
    dies too, which the processes of the cluster may be unable to see to themselves.
    """

    def __init__(self) -> None:
        read_fd, self._write_fd = os.pipe()
        self._pid = os.fork()
        if self._pid == 0:
            os.close(self._write_fd)
            _kill_when_closed(read_fd)
        os.close(read_fd)

    def watch(self, group: int) -> None:
        """Have a process group killed."""
        os.write(self._write_fd, f"{group}\n".encode())

    def close(self) -> None:
        """Kill nothing any more, and end."""
        os.write(self._write_fd, b"done\n")
        os.close(self._write_fd)
        os.waitpid(self._pid, 0)


def _kill_when_closed(read_fd: int) -> NoReturn:
    try:
        os.setsid()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
        signal.set_wakeup_fd(-1)
        os.closerange(0, read_fd)
        os.closerange(read_fd + 1, 1 << 12)
        with os.fdopen(read_fd) as pipe:
            groups = pipe.read().split()
        for group in groups if "done" not in groups else ():
            with contextlib.suppress(OSError):
                os.killpg(int(group), signal.SIGKILL)
    finally:
        os._exit(0)


def _watch(parent_fd: int) -> None:
    while os.read(parent_fd, 1):
        pass
    if os.getpgrp() == os.getpid():
        # What user code has started dies, too.
        os.killpg(os.getpgrp(), signal.SIGKILL)
    os.kill(os.getpid(), signal.SIGKILL)
