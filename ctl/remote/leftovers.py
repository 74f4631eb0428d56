"""What a session has brought that nobody needs if its release does not come to be."""

import contextlib
from pathlib import Path

from ctl.remote.removing import remove_tree
from ctl.remote.root import Root, read_json


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
        """Remove all of it."""
        layers = [path for path in self._paths if path.is_dir()]
        for path in self._paths:
            if path not in layers:
                path.unlink(missing_ok=True)
        self._paths.clear()
        # Another deployment may have come to need what was new here.
        needed = self._needed()
        for path in layers:
            if path.name not in needed:
                remove_tree(path)

    def sweep(self) -> None:
        """Remove the folders that are empty."""
        for name in ("layers", "releases", "deployments", ""):
            with contextlib.suppress(OSError):
                (self._root.path / name).rmdir()

    def _needed(self) -> set[str]:
        """Digests of the layers of all releases."""
        releases = (read_json(path) or {} for path in (self._root.path / "releases").glob("*.json"))
        return {digest for each in releases for digest in each.get("layers", {}).values()}
