"""The local modules that a flow needs: what it imports, what that imports, and so on."""

import sys
from collections import deque
from pathlib import Path
from typing import NamedTuple

from ctl.errors import FlowError
from ctl.layers.imports import Import, imports_of
from ctl.layers.lookup import Lookup, Module
from ctl.layers.places import Place
from ctl.layers.tree import Tree

_PROVIDED = {*sys.stdlib_module_names, "engine", "__main__"}
"""There wherever a flow runs."""


class Foreign(NamedTuple):
    """A module that is neither Python's own nor local, so that hosts must have it.

    Args:
        module: Its name, up to where nothing local was found.
        file: The file that imports it, as it is called in the layer.
        line: Where it does.
    """

    module: str
    file: str
    line: int


class Modules:
    """Gathers modules below one folder, which is on `sys.path` where the flow runs.

    A package brings all files of its folder, as they may be imported dynamically or read; of a
    namespace package come the modules that are imported.

    Args:
        root: The folder.
        tree: Takes their files.
        shown: The folder relative to which errors name files.

    Attributes:
        foreign: What is imported and not there, by name.
    """

    def __init__(self, root: Path, tree: Tree, shown: Path) -> None:
        self.foreign: dict[str, Foreign] = {}
        self._root = root
        self._tree = tree
        self._shown = shown
        self._lookup = Lookup(root)
        self._packages: list[Path] = []
        self._scanned: set[Path] = set()
        self._reached: deque[Module] = deque()
        self._beside: deque[Module] = deque()

    def add_file(self, path: Path) -> None:
        """Add a file that is run by its path, and what it imports.

        Raises:
            FlowError: If a module cannot be read, or may not be pushed.
        """
        self._push(path, "the flow")
        self._reached.append(Module("", path))
        self._follow()

    def add_module(self, name: str) -> bool:
        """Add a module and what it imports.

        Returns:
            Whether it is there.

        Raises:
            FlowError: If a module cannot be read, or may not be pushed.
        """
        is_there = self._reach(name, self._reached) == name
        self._follow()
        return is_there

    def _follow(self) -> None:
        while self._reached or self._beside:
            if self._reached:
                self._scan(self._reached.popleft(), self._reached)
            else:
                # Nobody is known to import it, so it may be a template or for another Python.
                self._scan(self._beside.popleft(), self._beside)

    def _scan(self, module: Module, following: deque[Module]) -> None:
        """Add what a module imports.

        Args:
            module: The module.
            following: Takes the modules to scan next: those that are reached, or the others.
        """
        file = module.file
        if file is None or file in self._scanned or file.suffix != ".py":
            return
        self._scanned.add(file)
        is_reached = following is self._reached
        try:
            imports = imports_of(file.read_bytes())
        except SyntaxError as error:
            if is_reached:
                raise self._wrong(file, error) from None
            return
        except OSError as error:
            msg = f"{file} cannot be read: {error.strerror or error}"
            raise FlowError(msg) from None
        for imported in imports:
            absolute = imported.absolute(module.package)
            if absolute is None:
                continue
            reached = self._reach(absolute.module, following)
            if reached == absolute.module:
                for name in absolute.names:
                    self._reach(f"{reached}.{name}", following)
            elif is_reached:
                self._note_foreign(absolute, reached, file)

    def _reach(self, name: str, following: deque[Module]) -> str:
        """Add a module and the packages it is in; give the name of the last that is there."""
        reached = ""
        parts = name.split(".")
        for count in range(1, len(parts) + 1):
            module = self._lookup.find(".".join(parts[:count]))
            if module is None:
                break
            reached = module.name
            if module.file is not None:
                self._add(module, module.file)
                following.append(module)
        return reached

    def _add(self, module: Module, file: Path) -> None:
        if any(file.is_relative_to(package) for package in self._packages):
            return
        if module.folder is None:
            for each in Place.of(file, self._root).files():
                self._push(each, f"the module {module.name!r}")
            return
        self._packages.append(module.folder)
        for each in Place.of(module.folder, self._root).files():
            self._push(each, f"the package {module.name!r}")
            *parents, _ = each.relative_to(self._root).parts
            is_package = each.name == "__init__.py"
            name = ".".join(parents if is_package else [*parents, each.stem])
            self._beside.append(Module(name, each, each.parent if is_package else None))

    def _push(self, file: Path, origin: str) -> None:
        self._tree.add(file.relative_to(self._root).as_posix(), file, origin)

    def _note_foreign(self, imported: Import, reached: str, file: Path) -> None:
        parts = imported.module.split(".")
        if reached:
            package = self._lookup.find(reached)
            if package is None or package.file is not None:
                # A name that local code makes while it is imported, or a mistake of its author.
                return
            name = ".".join(parts[: reached.count(".") + 2])
        elif parts[0] in _PROVIDED:
            return
        else:
            name = parts[0]
        shown = file.relative_to(self._root).as_posix()
        self.foreign.setdefault(name, Foreign(name, shown, imported.line))

    def _wrong(self, file: Path, error: SyntaxError) -> FlowError:
        shown = file.relative_to(self._shown) if file.is_relative_to(self._shown) else file
        where = f"{shown}:{error.lineno}" if error.lineno else f"{shown}"
        version = "{}.{}".format(*sys.version_info)
        line = f"\n    {error.text.strip()}" if error.text else ""
        return FlowError(f"{where}: {error.msg}, as Python {version} reads it{line}")
