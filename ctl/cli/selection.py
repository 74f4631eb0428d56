"""Choose processes and hosts of an inventory on the command line."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ctl.errors import UsageError

if TYPE_CHECKING:
    from ctl.inventory import Inventory


def select(
    inventory: "Inventory", processes: Sequence[int] | None, hosts: Sequence[str] | None
) -> tuple[tuple[int, ...] | None, tuple[str, ...] | None]:
    """Check what was chosen; None for no choice.

    Raises:
        UsageError: If the inventory has no such process or host.
    """
    ids = [place.id for place in inventory.processes]
    names = [host.name for host in inventory.hosts]
    for process in processes or ():
        if process not in ids:
            problem = f"there is no process {process} in {inventory.path}"
            raise UsageError(problem, f"its processes are 0 to {ids[-1]}")
    for host in hosts or ():
        if host not in names:
            problem = f"there is no host {host!r} in {inventory.path}"
            raise UsageError(problem, f"its hosts are {', '.join(names)}")
    return tuple(processes) if processes else None, tuple(hosts) if hosts else None
