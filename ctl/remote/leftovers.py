"""What a session has brought that nobody needs if its release does not come to be."""

import contextlib
import shutil
from pathlib import Path

from ctl.remote.root import Root


class Leftovers:
    """Remembers what is new, to remove it after a deploy that failed.

    Args:
        root: Of this host.
    """

    def __init__(self, root: Root) -> None:
        self._root = root
        self._paths: list[Path] = []

    def note(self, path: Path) -> None:
        """Remember a path that is about to be made, unless it is there already."""
        if not path.exists():
            self._paths.append(path)

    def keep(self) -> None:
        """Take all of it for needed."""
        self._paths.clear()

    def remove(self) -> None:
        """Remove all of it, and the folders that are empty without it."""
        for path in self._paths:
            if path.is_dir():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink(missing_ok=True)
        self._paths.clear()
        for name in ("layers", "releases", "deployments", ""):
            with contextlib.suppress(OSError):
                (self._root.path / name).rmdir()
