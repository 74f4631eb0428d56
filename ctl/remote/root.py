"""Where everything on a host is: one folder, open to its owner alone.

- `lock`: there while somebody changes a deployment or prunes
- `layers/<digest>/`: unpacked layers, never changed
- `releases/<digest>.json`: what a release is made of
- `deployments/<name>/`
    - `lock`: held while somebody changes the deployment
    - `current.json`: the launch that counts, and whether it should run
    - `switching.json`: there from a switch until its commit
    - `launches/<id>/`: what the processes of one start are given
    - `processes/<id>/`: one process: lock, state.json, health socket, log/
    - `work/`: current directory of the processes, unless another is set
"""

import contextlib
import json
import math
import os
import time
from pathlib import Path
from typing import Any

_OWNER_ONLY = 0o077


class Root:
    """The folder of everything.

    Args:
        path: Where it is; a leading `~` is the home folder of the user who asks.
    """

    def __init__(self, path: str) -> None:
        self.path = Path(path).expanduser()

    def layer(self, digest: str) -> Path:
        """Folder of a layer."""
        return self.path / "layers" / digest

    def release(self, digest: str) -> Path:
        """File of a release."""
        return self.path / "releases" / f"{digest}.json"

    def deployment(self, name: str) -> Path:
        """Folder of a deployment."""
        return self.path / "deployments" / name

    def place(self, parts: list[Any]) -> str:
        """The absolute path of a part of the root, which the operator cannot know."""
        return str(self.path.joinpath(*map(str, parts)))

    def has(self, digest: str) -> bool:
        """Whether a layer is there, whole."""
        return self.layer(digest).is_dir()


def prepare() -> None:
    """Have whatever this process makes open to its owner alone."""
    os.umask(_OWNER_ONLY)


def write_json(path: Path, value: Any) -> None:
    """Write a file so that readers see the old one or the new one, and a crash keeps one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC
        with os.fdopen(os.open(new, flags, 0o600), "w", encoding="utf-8") as file:
            json.dump(value, file)
            file.flush()
            os.fsync(file.fileno())
        new.replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            new.unlink()
        raise


def age_s(path: Path) -> float:
    """Seconds since a file was written; infinity if it cannot be seen."""
    with contextlib.suppress(OSError):
        return time.time() - path.stat().st_mtime
    return math.inf


def read_json(path: Path) -> dict[str, Any] | None:
    """Read such a file; `None` if there is none."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError, ValueError):
        return None
    return value if isinstance(value, dict) else None
