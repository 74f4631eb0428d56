"""Arguments and options that several commands have."""

from pathlib import Path
from typing import Annotated

import typer

InventoryArgument = Annotated[
    Path | None,
    typer.Argument(
        metavar="INVENTORY",
        help="The inventory; else CTL_INVENTORY, or inventory.toml in this folder.",
        show_default=False,
    ),
]

GuessedInventoryArgument = Annotated[
    Path | None,
    typer.Argument(
        metavar="INVENTORY",
        help="The inventory; else CTL_INVENTORY, inventory.toml in this folder, "
        "or the last one that was deployed.",
        show_default=False,
    ),
]

AcceptNewHostKeys = Annotated[
    bool,
    typer.Option(
        "--accept-new-host-keys",
        help="Store the key of a host that is not known yet; a changed key stays refused.",
    ),
]

ConnectTimeout = Annotated[
    float,
    typer.Option("--connect-timeout", metavar="SECONDS", min=0.1, help="For each SSH connection."),
]

Json = Annotated[bool, typer.Option("--json", help="Print JSON, for machines.")]
