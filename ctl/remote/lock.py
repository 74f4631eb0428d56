"""Locks of files: held as long as a process lives, free the moment it is gone."""

import contextlib
import fcntl
import json
import os
import time
from pathlib import Path
from typing import Any

from ctl.remote.errors import BUSY, RemoteError

_TRIES, _PAUSE = 10, 0.02
"""Who only looks holds a lock for a moment; that is waited for."""


def try_lock(path: Path, how: int = fcntl.LOCK_EX) -> int | None:
    """Lock a file; give its descriptor, or `None` if another process holds it.

    Args:
        path: The file, which is made if it is not there.
        how: `LOCK_EX`, or `LOCK_SH` for a lock that several may hold at once.
    """
    for attempt in range(_TRIES):
        if attempt:
            time.sleep(_PAUSE)
        path.parent.mkdir(parents=True, exist_ok=True)
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        with contextlib.suppress(OSError):
            fcntl.flock(fd, how | fcntl.LOCK_NB)
            # Whoever held it may have removed the file.
            if os.fstat(fd).st_ino == path.stat().st_ino:
                return fd
        os.close(fd)
    return None


def is_locked(path: Path) -> bool:
    """Whether another process holds the lock; a missing file is nobody's."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(fd)
    return False


class DeploymentLock:
    """The lock of a deployment; whoever changes it holds it.

    Args:
        folder: Of the deployment.
        who: Of the one who asks: `user`, `host`, `command` and `since` (text of a time).

    Raises:
        RemoteError: 75, if somebody else holds it; it says who, from where, since when.
    """

    def __init__(self, folder: Path, who: dict[str, Any]) -> None:
        path = folder / "lock"
        fd = try_lock(path)
        if fd is None:
            raise RemoteError(BUSY, f"deployment {folder.name} {_held_by(path)}", "try again later")
        self._fd = fd
        # What runs can be stopped although the disk is full.
        with contextlib.suppress(OSError):
            os.ftruncate(fd, 0)
            os.pwrite(fd, json.dumps(who).encode(), 0)

    def release(self) -> None:
        """Let others have it; may be called again.

        The file may be gone by then, with the folder of a deployment that never came to be.
        """
        if self._fd >= 0:
            with contextlib.suppress(OSError):
                os.ftruncate(self._fd, 0)
            os.close(self._fd)
            self._fd = -1


class RootLock:
    """What keeps layers from being pruned while somebody brings or uses new ones.

    Args:
        folder: The root.
        exclusive: Whether nobody else may have it; otherwise, many have it at once.

    Raises:
        RemoteError: 75, if somebody has it in a way that excludes this.
    """

    def __init__(self, folder: Path, *, exclusive: bool) -> None:
        self._path = folder / "lock"
        how = fcntl.LOCK_EX if exclusive else fcntl.LOCK_SH
        fd = try_lock(self._path, how)
        if fd is None:
            what = "a deploy or stop is under way" if exclusive else "ctl prune is under way"
            raise RemoteError(BUSY, what, "try again later")
        self._fd = fd

    def release(self) -> None:
        """Let others have it; the last one removes the file."""
        if self._fd < 0:
            return
        with contextlib.suppress(OSError):
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self._path.unlink()
        os.close(self._fd)
        self._fd = -1


def holder(folder: Path) -> dict[str, Any] | None:
    """Who changes a deployment just now."""
    path = folder / "lock"
    if not is_locked(path):
        return None
    try:
        who = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        who = {}
    return who if isinstance(who, dict) else {}


def _held_by(path: Path) -> str:
    who = holder(path.parent)
    if not who:
        return "is being changed by somebody else"
    return (
        f"is being changed by {who.get('user', 'somebody')} on {who.get('host', 'some machine')} "
        f"(ctl {who.get('command', '')}), since {who.get('since', 'just now')}"
    )
