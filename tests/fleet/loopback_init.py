"""The first process of a host on loopback: runs sshd, adopts orphans, and ends them all.

It tells the process id of sshd on its standard output. It ends when its standard input does:
with the test that has started it, however that ends.
"""

import ctypes
import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

PR_SET_CHILD_SUBREAPER = 36


def descendants(ancestor: int) -> list[int]:
    """The process ids of all children, their children and so on, in that order."""
    children: dict[int, list[int]] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            # Parentheses around the name, which may hold anything; then state and parent.
            parent = int(stat.read_text(errors="replace").rpartition(")")[2].split()[1])
            children.setdefault(parent, []).append(int(stat.parent.name))
    found = [ancestor]
    for each in found:
        found += children.get(each, [])
    return found[1:]


def kill_descendants() -> None:
    """End all descendants, those too that are born meanwhile."""
    while left := descendants(os.getpid()):
        for pid in left:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        # Waits until no child is left; orphans may be adopted meanwhile.
        with suppress(ChildProcessError):
            os.waitpid(-1, 0)


def main() -> None:
    assert ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) == 0
    sshd = subprocess.Popen(sys.argv[1:], stdin=subprocess.DEVNULL, stdout=sys.stderr)
    # Only now, since sshd would inherit it: the kernel reaps those that end.
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    print(sshd.pid, flush=True)
    sys.stdin.read()
    kill_descendants()
    sshd.returncode = -signal.SIGKILL


if __name__ == "__main__":
    main()
