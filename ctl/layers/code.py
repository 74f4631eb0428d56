"""The code layer of a flow: its file, the local modules it imports, and what the inventory adds."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ctl.errors import FlowError, NotFoundError, UsageError
from ctl.layers.archive import Layer
from ctl.layers.include import included
from ctl.layers.modules import Foreign, Modules
from ctl.layers.tree import Tree
from engine.errors import UsageError as EngineUsageError
from engine.flows import FlowReference

_OURS = ("engine", "ctl")


@dataclass(frozen=True)
class CodeLayer:
    """A flow as it is pushed.

    Args:
        layer: Its files.
        flow: The FLOW argument that names it, relative to the root of the layer; for a module,
            that root has to be on `sys.path`.
        included: Paths that the inventory adds, which a flow expects in its working directory.
        foreign: Modules that hosts must have.
        python: The minor version that hosts must have; `None` if any will do.
    """

    layer: Layer
    flow: str
    included: tuple[str, ...] = ()
    foreign: tuple[Foreign, ...] = ()
    python: tuple[int, int] | None = None


def code_layer(flow: str, include: Sequence[str], inventory_folder: Path, cwd: Path) -> CodeLayer:
    """Gather what a flow needs, without running it.

    Args:
        flow: The FLOW argument.
        include: Patterns of further files, relative to the folder of the inventory.
        inventory_folder: That folder, an absolute path.
        cwd: What a relative path in `flow` starts from, and where its module is; absolute.

    Raises:
        UsageError: If the FLOW argument has none of its forms.
        NotFoundError: If there is no such file or module.
        FlowError: If a module cannot be read, a link leads out of the folder it is in, two files
            have one path, or there is too much.
        InventoryError: If a pattern matches nothing, or could lead out of the inventory's folder.
    """
    try:
        reference = FlowReference.parse(flow)
    except EngineUsageError as error:
        raise UsageError(str(error)) from None
    tree = Tree()
    path = cwd / reference.place
    root = path.parent if reference.is_file else cwd
    modules = Modules(root, tree, cwd)
    if reference.is_file:
        _check_file(reference.place, path)
        check_names(root)
        modules.add_file(path)
        flow = path.name + flow[len(reference.place) :]
    else:
        check_names(root)
        if not modules.add_module(reference.place):
            msg = f"there is no module `{reference.place}`; looked in {cwd}"
            raise NotFoundError(
                msg, "run ctl in the folder that the module is in, or name its file"
            )
    paths = add_included(tree, include, inventory_folder)
    return CodeLayer(tree.layer(), flow, paths, tuple(modules.foreign.values()))


def add_included(tree: Tree, include: Sequence[str], folder: Path) -> tuple[str, ...]:
    """Add the files that the patterns of an inventory name.

    Args:
        tree: Takes them.
        include: The patterns.
        folder: The folder of the inventory.

    Returns:
        Their paths, relative to the folder.

    Raises:
        InventoryError: If a pattern matches nothing, or could lead out of the folder.
        FlowError: If a link leads out of the folder, or there is too much.
    """
    paths: set[str] = set()
    for pattern in include:
        for path, file in included(pattern, folder):
            tree.add(path, file, f"include {pattern!r}")
            paths.add(path)
    return tuple(sorted(paths))


def check_names(folder: Path) -> None:
    """Check that a folder that will be on `sys.path` does not hide the packages of hostmesh.

    Raises:
        FlowError: If it does; it names the module.
    """
    ours = Path(__file__).resolve().parents[2]
    for package in _OURS:
        for theirs in (folder / f"{package}.py", folder / package / "__init__.py"):
            if theirs.exists() and theirs.resolve() != ours / package / "__init__.py":
                what = theirs if theirs.name != "__init__.py" else theirs.parent
                msg = f"{what} has the name of hostmesh's package `{package}`"
                raise FlowError(msg, "rename it")


def _check_file(place: str, path: Path) -> None:
    if path.is_dir():
        msg = f"flow file {place} is a folder, not a file"
        raise NotFoundError(msg)
    if not path.is_file():
        msg = f"flow file {place} does not exist; looked for {path}"
        raise NotFoundError(msg)
