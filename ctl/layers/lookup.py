"""Where Python would find a module in a folder that comes first on `sys.path`."""

import os
import sys
from importlib.machinery import EXTENSION_SUFFIXES, PathFinder
from pathlib import Path
from typing import NamedTuple

_SUFFIXES = (*EXTENSION_SUFFIXES, ".py")
_OURS = ("engine", "ctl")


class Module(NamedTuple):
    """A module that was found.

    Args:
        name: Dotted name; empty for a file that is run by its path.
        file: What Python reads; `None` for a namespace package.
        folder: Where its submodules are; `None` unless it is a package.
    """

    name: str
    file: Path | None
    folder: Path | None = None

    @property
    def package(self) -> str:
        """What one leading dot stands for in it."""
        return self.name.rpartition(".")[0] if self.folder is None else self.name


class Lookup:
    """Finds modules below a folder.

    Args:
        root: The folder.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self._found: dict[str, Module | None] = {}
        self._folders: dict[Path, dict[str, bool]] = {}

    def find(self, name: str) -> Module | None:
        """Find a module by its dotted name.

        Returns:
            `None` if it is elsewhere or nowhere.
        """
        if name not in self._found:
            self._found[name] = self._look_for(name)
        return self._found[name]

    def _look_for(self, name: str) -> Module | None:
        parent_name, _, last = name.rpartition(".")
        folder: Path | None = self._root
        if parent_name:
            parent = self.find(parent_name)
            folder = parent.folder if parent else None
        elif last in _OURS or last in sys.builtin_module_names:
            return None
        if folder is None or not last.isidentifier():
            return None
        names = self._names(folder)
        is_folder = names.get(last, False)
        if is_folder and "__init__.py" in self._names(folder / last):
            return Module(name, folder / last / "__init__.py", folder / last)
        for file in (last + suffix for suffix in _SUFFIXES):
            if names.get(file) is False:
                return Module(name, folder / file)
        if is_folder and (parent_name or not self._is_elsewhere(last)):
            return Module(name, None, folder / last)
        return None

    def _is_elsewhere(self, name: str) -> bool:
        """Whether there is a module further down `sys.path`: it wins over a namespace package."""
        if name in sys.stdlib_module_names:
            return True
        root = self._root.resolve()
        spec = PathFinder.find_spec(name, [p for p in sys.path if p and Path(p).resolve() != root])
        return spec is not None and spec.loader is not None

    def _names(self, folder: Path) -> dict[str, bool]:
        """What is in a folder, and whether it is a folder itself."""
        if folder not in self._folders:
            try:
                with os.scandir(folder) as entries:
                    self._folders[folder] = {entry.name: entry.is_dir() for entry in entries}
            except OSError:
                # Python does not find anything there either.
                self._folders[folder] = {}
        return self._folders[folder]
