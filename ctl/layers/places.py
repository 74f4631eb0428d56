"""Walk through folders of the operator: what is pushed of them, and where links may lead."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ctl.errors import FlowError


@dataclass(frozen=True)
class Place:
    """A file or folder on the way through a tree; `of` makes the first.

    Args:
        path: Where it is.
        root: The folder that links must not leave, itself without links.
        is_folder: Whether it is a folder.
        chain: The folders, without links, through which the way has come.
    """

    path: Path
    root: Path
    is_folder: bool
    chain: tuple[Path, ...]

    @classmethod
    def of(cls, path: Path, root: Path | None = None) -> "Place":
        """Begin at a path.

        Args:
            path: File or folder.
            root: The folder that links must not leave; the default is `path`.

        Raises:
            FlowError: If it is a link that leads out of the root.
        """
        resolved = path.resolve()
        root = resolved if root is None else root.resolve()
        if not resolved.is_relative_to(root):
            raise _leads_out(path, root)
        return cls(path, root, path.is_dir(), (resolved,))

    def children(self) -> list["os.DirEntry[str]"]:
        """What is in the folder, by name."""
        try:
            with os.scandir(self.path) as entries:
                return sorted(entries, key=lambda entry: os.fsencode(entry.name))
        except OSError as error:
            msg = f"{self.path} cannot be pushed: {error.strerror or error}"
            raise FlowError(msg) from None

    def child(self, entry: "os.DirEntry[str]") -> "Place":
        """Go on to what is in the folder.

        Raises:
            FlowError: If it is a link that leads out of the root, nowhere or in a circle.
        """
        path = self.path / entry.name
        if not entry.is_symlink():
            return Place(path, self.root, entry.is_dir(), self.chain)
        target = Path(os.path.realpath(path))
        if not target.is_relative_to(self.root):
            raise _leads_out(path, self.root)
        if not target.exists():
            msg = f"{path} cannot be pushed: it is a link that leads nowhere"
            raise FlowError(msg)
        is_folder = target.is_dir()
        if is_folder and any(each.is_relative_to(target) for each in self.chain):
            msg = f"{path} cannot be pushed: it is a link that leads in a circle"
            raise FlowError(msg)
        return Place(path, self.root, is_folder, (*self.chain, target) if is_folder else self.chain)

    def files(self) -> Iterator[Path]:
        """The file, or those below the folder without what `is_left_out`.

        Raises:
            FlowError: If there is a link that leads out of the root, nowhere or in a circle.
        """
        if not self.is_folder:
            yield self.path
            return
        entries = self.children()
        if any(entry.name == "pyvenv.cfg" for entry in entries):
            return
        for entry in entries:
            if not is_left_out(entry.name):
                yield from self.child(entry).files()


def is_left_out(name: str) -> bool:
    """Whether what has this name is pushed only if somebody asks for it by name."""
    return name.startswith(".") or name == "__pycache__" or name.endswith(".pyc")


def _leads_out(path: Path, root: Path) -> FlowError:
    return FlowError(
        f"{path} cannot be pushed: it is a link that leads out of {root}",
        "put a copy in its place",
    )
