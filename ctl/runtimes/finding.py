"""Find a runtime by its name."""

from collections.abc import Callable, Mapping
from importlib.metadata import EntryPoint, entry_points

from ctl.errors import InventoryError
from ctl.inventory import RUNTIMES, Check
from ctl.runtimes.base import Runtime
from ctl.runtimes.bytewax import BytewaxRuntime
from ctl.runtimes.command import CommandRuntime
from ctl.runtimes.engine import EngineRuntime
from ctl.runtimes.pathway import PathwayRuntime

GROUP = "hostmesh.runtimes"
"""Entry points of other packages."""

_OURS: Mapping[str, Callable[[], Runtime]] = {
    EngineRuntime.name: EngineRuntime,
    BytewaxRuntime.name: BytewaxRuntime,
    PathwayRuntime.name: PathwayRuntime,
    CommandRuntime.name: CommandRuntime,
}


def find_runtime(name: str) -> Runtime:
    """The runtime of that name.

    Raises:
        InventoryError: If there is none; it lists what there is.
    """
    if name in _OURS:
        return _OURS[name]()
    for entry in _others():
        if entry.name == name:
            runtime: Runtime = entry.load()()
            return runtime
    msg = f"there is no runtime {name!r}"
    names = ", ".join((*_OURS, *(entry.name for entry in _others())))
    raise InventoryError(msg, f"there are {names}")


def runtime_options() -> Mapping[str, Mapping[str, Check]]:
    """What each runtime allows in `[deployment]` beside the keys of all, by its name."""
    others = {entry.name: entry.load()().options for entry in _others()}
    return {**RUNTIMES, **others}


def _others() -> list[EntryPoint]:
    return sorted(entry_points(group=GROUP), key=lambda entry: entry.name)
