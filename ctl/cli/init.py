"""`ctl init`: an inventory to begin with."""

from pathlib import Path
from typing import Annotated

import typer

_INVENTORY = Path("inventory.toml")


def init(
    path: Annotated[
        Path, typer.Argument(metavar="INVENTORY", help="The file to write.")
    ] = _INVENTORY,
    name: Annotated[
        str | None,
        typer.Option("--name", help="Name of the deployment; that of the folder."),
    ] = None,
    host: Annotated[
        list[str] | None,
        typer.Option("--host", metavar="[USER@]HOST", help="A host; once for each."),
    ] = None,
    runtime: Annotated[
        str, typer.Option("--runtime", help="What runs it: engine, bytewax, pathway or command.")
    ] = "engine",
    force: Annotated[
        bool, typer.Option("--force", help="Replace the file if it is there.")
    ] = False,
) -> None:
    """Write a commented inventory; it asks nothing."""
    # `ctl --help` does without it.
    from ctl.inventory.starting import starting_inventory, write_new

    text = starting_inventory(name, host or (), path.absolute().parent.name, runtime)
    write_new(path, text, replace=force)
    todo = "" if host else "put in your hosts and their addresses, then "
    typer.echo(f"Wrote {path}.  Next: {todo}ctl check {path}", err=True)
