"""A run of the tests and what it has made outside of itself, so that a later run can remove it.

A run holds a lock on a file for as long as it lives. Containers and networks carry the path of
that file in a label; a lock that is free tells that nobody will remove them any more.
"""

import fcntl
import getpass
import os
import shutil
import socket
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

# A file is a name on one machine only, and an engine may serve several.
MACHINE = "hostmesh.test.machine"
FOLDER = "hostmesh.test.run"


@dataclass(frozen=True)
class Run:
    """`folder` holds the lock and temporary files; the other runs are its siblings."""

    folder: Path

    @property
    def labels(self) -> dict[str, str]:
        return {MACHINE: socket.gethostname(), FOLDER: str(self.folder)}


def abandoned(labels: dict[str, str]) -> bool:
    """Whether the run that set these labels has ended, as far as one can know here."""
    return labels.get(MACHINE) == socket.gethostname() and _free(Path(labels[FOLDER]))


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold a lock for a piece of work; wait for it."""
    with path.open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


@contextmanager
def this_run(parent: Path | None = None) -> Iterator[Run]:
    """Be a run, after removing the folders of those that have ended."""
    if parent is None:
        parent = Path(tempfile.gettempdir()) / f"hostmesh-tests-of-{getpass.getuser()}"
    parent.mkdir(mode=0o700, exist_ok=True)
    folder = parent / uuid4().hex
    # Nobody may take the folder for an abandoned one before its lock is held.
    with locked(parent / "runs.lock"):
        for other in parent.iterdir():
            if other.is_dir() and _free(other):
                shutil.rmtree(other)
        folder.mkdir()
        lock = os.open(folder / "lock", os.O_CREAT | os.O_RDWR)
        fcntl.flock(lock, fcntl.LOCK_EX)
    try:
        yield Run(folder)
    finally:
        shutil.rmtree(folder)
        os.close(lock)


def _free(folder: Path) -> bool:
    try:
        lock = os.open(folder / "lock", os.O_RDWR)
    except FileNotFoundError:
        return True
    except PermissionError:
        return False
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    finally:
        os.close(lock)
    return True
