"""The engine layer: the engine as the operator has it, with its few dependencies."""

from pathlib import Path

import engine
from ctl.layers.archive import Entry, Layer
from ctl.layers.distributions import dependencies, pure_entries


def engine_layer() -> Layer:
    """The layer whose root goes on `PYTHONPATH` of a host, which then needs Python alone.

    Raises:
        InstallationError: If a dependency is not installed, or is not pure Python.
    """
    package = Path(engine.__file__).parent
    entries = [
        Entry.of(f"engine/{file.relative_to(package).as_posix()}", file)
        for file in package.rglob("*")
        if file.suffix == ".py" or file.name == "py.typed"
    ]
    for name in dependencies("hostmesh"):
        entries += pure_entries(name)
    return Layer.of("engine", entries)
