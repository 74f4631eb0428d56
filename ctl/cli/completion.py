"""What a shell offers for the options that name hosts and processes."""

from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from ctl.inventory import Inventory


def complete_host(context: typer.Context, incomplete: str) -> list[str]:
    """Names of hosts that begin like this."""
    inventory = _inventory(context)
    names = [host.name for host in inventory.hosts] if inventory else []
    return [name for name in names if name.startswith(incomplete)]


def complete_process(context: typer.Context, incomplete: str) -> list[tuple[str, str]]:
    """Ids of processes that begin like this, each with its host."""
    inventory = _inventory(context)
    places = inventory.processes if inventory else ()
    return [
        (str(place.id), place.host.name) for place in places if str(place.id).startswith(incomplete)
    ]


def _inventory(context: typer.Context) -> "Inventory | None":
    from ctl.cli.inventory import find
    from ctl.errors import CtlError
    from ctl.inventory import load

    try:
        return load(find(context.params.get("inventory"), guess=False))
    except CtlError:
        # Whoever presses Tab wants no error message.
        return None
