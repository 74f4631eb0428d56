"""The code layer of a flow that is in no file: one built in a notebook, shipped by value."""

import io
import site
import sys
import sysconfig
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from ctl.errors import FlowError
from ctl.layers.code import CodeLayer, add_included, check_names
from ctl.layers.distributions import pure_entries
from ctl.layers.modules import Foreign, Modules
from ctl.layers.tree import Tree

if TYPE_CHECKING:
    from engine.dataflow import Dataflow

_LOADER = '''\
"""Made by ctl: the dataflow that was shipped by value, from the pickle beside."""

import pickle
from pathlib import Path

flow, _made_beside = pickle.loads(Path(__file__).with_name("flow.pickle").read_bytes())

# Items of these classes are pickled by name when they go from one process to another.
for _each in _made_beside:
    _each.__module__ = __name__
    if _each.__qualname__ not in globals():
        globals()[_each.__qualname__] = _each
'''


def pickled_flow(
    flow: "Dataflow",
    include: Sequence[str] = (),
    inventory_folder: Path | None = None,
    cwd: Path | None = None,
) -> CodeLayer:
    """Gather a dataflow by value, and the local modules that it refers to.

    What was defined in the notebook or script itself goes by value; what it has imported from
    below the working directory is pushed as files.

    Args:
        flow: The dataflow.
        include: Patterns of further files, relative to the folder of the inventory.
        inventory_folder: That folder; the default is the working directory.
        cwd: The working directory, if it is not that of this process.

    Raises:
        FlowError: If something cannot be pickled, with the step if one is known; or as of
            `code_layer`.
        InventoryError: As of `code_layer`.
        InstallationError: If cloudpickle is not installed.
    """
    cwd = Path.cwd() if cwd is None else cwd
    tree = Tree()
    for entry in pure_entries("cloudpickle"):
        tree.add(entry.path, entry.source, "cloudpickle")
    data = _dump(flow)
    tree.add("flow.pickle", data, "the pickled flow")
    tree.add("shipped_flow.py", _LOADER.encode(), "the module that gives the pickled flow")
    foreign: dict[str, Foreign] = {}
    names = _strings(data) & sys.modules.keys()
    for folder, name in sorted(_local(names, cwd)):
        check_names(folder)
        modules = Modules(folder, tree, cwd)
        modules.add_module(name)
        foreign |= modules.foreign
    paths = add_included(tree, include, inventory_folder or cwd)
    version = sys.version_info[:2]
    return CodeLayer(tree.layer(), "shipped_flow.py", paths, tuple(foreign.values()), version)


def _dump(flow: "Dataflow") -> bytes:
    """Pickle the flow, with what was defined beside it so that it can be named on a host."""
    made_beside: dict[int, Any] = {}
    while True:
        known = list(made_beside.values())
        try:
            data = _pickle((flow, known), made_beside)
        except Exception as error:
            raise _unpicklable(flow, error) from error
        if len(known) == len(made_beside):
            return data


def _pickle(value: object, made_beside: dict[int, Any]) -> bytes:
    """Pickle a value; what of `__main__` is part of it goes into `made_beside`."""
    import cloudpickle  # type: ignore[import-untyped]

    main = sys.modules["__main__"]

    class Pickler(cloudpickle.Pickler):  # type: ignore[misc]
        def reducer_override(self, obj: Any) -> Any:
            if isinstance(obj, type) and obj.__module__ == "__main__":
                outermost = getattr(main, obj.__qualname__.partition(".")[0], obj)
                for each in (obj, outermost):
                    made_beside.setdefault(id(each), each)
            return super().reducer_override(obj)

    file = io.BytesIO()
    Pickler(file).dump(value)
    return file.getvalue()


def _unpicklable(flow: "Dataflow", error: Exception) -> FlowError:
    for step in flow.steps:
        try:
            _pickle(step, {})
        except Exception as its:
            msg = f"step {step.step_id!r} cannot be shipped: {_said(its)}"
            return FlowError(msg, "make what it uses inside of its function, or put it in a module")
    return FlowError(f"dataflow {flow.flow_id!r} cannot be shipped: {_said(error)}")


def _said(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"


def _strings(data: bytes) -> set[str]:
    """What may be the name of a module, which a function may well name without referring to it."""
    # Slow to import, and needed by few.
    import pickletools

    return {value for _, value, _ in pickletools.genops(data) if isinstance(value, str)}


def _local(names: set[str], cwd: Path) -> set[tuple[Path, str]]:
    """Which of the modules are in files of the user, and the folder that each is imported from."""
    found = set()
    for name in names:
        file = _file(sys.modules[name])
        if file is None or not file.is_relative_to(cwd) or _is_installed(file):
            continue
        up = name.count(".") + (file.stem == "__init__")
        if name.partition(".")[0] not in {"__main__", "engine", "ctl"}:
            found.add((file.parents[up], name))
    return found


def _file(module: ModuleType) -> Path | None:
    name = getattr(module, "__file__", None)
    return Path(name) if isinstance(name, str) else None


def _is_installed(file: Path) -> bool:
    """An environment is often below the working directory."""
    folders = [*site.getsitepackages(), site.getusersitepackages(), *sysconfig.get_paths().values()]
    return any(file.is_relative_to(folder) for folder in folders)
