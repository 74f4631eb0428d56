"""What a host is like, as far as it matters to whoever deploys to it."""

import contextlib
import itertools
import os
import pwd
import resource
import sys
import time
from pathlib import Path
from typing import Any

from ctl.remote.root import Root


def gather(root: Root) -> dict[str, Any]:
    """Facts of this host, ready for JSON.

    Returns:
        `python` (three numbers), `implementation`, `executable`, `machine`, `system`, `libc`,
        `hostname`, `user`, `time` (Unix time), `root` (its path), `unwritable` (why the root
        cannot be written, or null), `disk_free` (bytes), `open_files` (soft and hard limit),
        `cores`, `place` (the same for whoever comes to this root on another way).
    """
    system = os.uname()
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    return {
        "python": list(sys.version_info[:3]),
        "implementation": sys.implementation.name,
        "executable": sys.executable,
        "machine": system.machine,
        "system": system.sysname,
        "libc": list(_libc()),
        "hostname": system.nodename,
        "user": _user(),
        "time": time.time(),
        "root": str(root.path),
        "unwritable": _unwritable(root.path),
        "disk_free": _free(_nearest(root.path)),
        "open_files": [soft, hard],
        "cores": os.cpu_count() or 1,
        "place": _place(root.path),
    }


def _place(root: Path) -> str:
    """What a root has in common with no other, whichever container or machine that is on."""
    nearest = _nearest(root)
    there = nearest.stat()
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text("ascii").strip()
    except OSError:
        # Then it is not even the same as itself.
        boot = os.urandom(16).hex()
    rest = root.resolve().relative_to(nearest.resolve())
    return f"{boot} {os.uname().nodename} {there.st_dev}:{there.st_ino} {rest}"


def _libc() -> tuple[str, str]:
    with contextlib.suppress(ValueError, OSError):
        name, _, version = (os.confstr("CS_GNU_LIBC_VERSION") or "").partition(" ")
        return name, version
    # Not glibc, and slow to import.
    from platform import libc_ver

    return libc_ver()


def _free(path: Path) -> int:
    """Bytes that whoever is not root may still write."""
    disk = os.statvfs(path)
    return disk.f_bavail * disk.f_frsize


def _user() -> str:
    with contextlib.suppress(KeyError):
        return pwd.getpwuid(os.geteuid()).pw_name
    return str(os.geteuid())


def _nearest(path: Path) -> Path:
    """The path, or the nearest folder above it that is there."""
    for each in (path, *path.parents):
        with contextlib.suppress(OSError):
            if each.is_dir():
                return each
    return Path("/")


def _unwritable(path: Path) -> str | None:
    """Why nothing can be written below a path, if so."""
    nearest = _nearest(path)
    if not os.access(nearest, os.W_OK | os.X_OK):
        return f"{nearest} is not writable for {_user()}"
    for each in itertools.takewhile(lambda each: each != nearest, (path, *path.parents)):
        if os.path.lexists(each):
            return f"{each} is not a folder"
    if nearest == path and path.stat().st_uid != os.geteuid():
        return f"{path} belongs to another user"
    return None
