"""Find a runtime by its name."""

from ctl.errors import InventoryError
from ctl.runtimes.base import Runtime
from ctl.runtimes.engine import EngineRuntime

GROUP = "hostmesh.runtimes"
"""Entry points of other packages."""


def find_runtime(name: str) -> Runtime:
    """The runtime of that name.

    Raises:
        InventoryError: If there is none; it lists what there is.
    """
    if name == EngineRuntime.name:
        return EngineRuntime()
    # Slow, and few need it.
    from importlib.metadata import entry_points

    for entry in entry_points(group=GROUP, name=name):
        runtime: Runtime = entry.load()()
        return runtime
    raise InventoryError(f"there is no runtime {name!r}", f"there are {', '.join(runtime_names())}")


def runtime_names() -> tuple[str, ...]:
    """Names of all runtimes, ours first."""
    from importlib.metadata import entry_points

    others = sorted(entry.name for entry in entry_points(group=GROUP))
    return (EngineRuntime.name, *others)
