"""End this process when its launcher is gone, however that ended."""

import os
import signal
import sys
import threading

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


def _watch(parent_fd: int) -> None:
    while os.read(parent_fd, 1):
        pass
    if os.getpgrp() == os.getpid():
        # What user code has started dies, too.
        os.killpg(os.getpgrp(), signal.SIGKILL)
    os.kill(os.getpid(), signal.SIGKILL)
