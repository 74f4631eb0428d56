"""`ctl prune`: remove what no deployment uses any more from the hosts."""

from typing import Annotated

import typer

from ctl.cli.ending import Ended
from ctl.cli.inventory import find
from ctl.cli.opening import errors_as_json, interruptible, opened
from ctl.cli.options import AcceptNewHostKeys, ConnectTimeout, InventoryArgument, Json
from ctl.ui.console import say, show, show_json
from ctl.ui.live import Patient
from ctl.ui.pruned import prune_json, prune_summary, prune_table


def prune(
    inventory: InventoryArgument = None,
    *,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show what would be removed; remove nothing.")
    ] = False,
    as_json: Json = False,
    accept_new_host_keys: AcceptNewHostKeys = False,
    connect_timeout: ConnectTimeout = 10.0,
) -> None:
    """Remove what no deployment uses any more from the hosts.

    \b
    ctl prune --dry-run
    ctl prune inventory.toml
    """  # noqa: D301 - the formatter of help texts reads the escape
    with (
        errors_as_json(as_json),
        opened(
            find(inventory),
            Patient(),
            accept_new_host_keys=accept_new_host_keys,
            connect_timeout=connect_timeout,
        ) as deployment,
        interruptible("what was removed is gone; no deployment uses it"),
    ):
        report = deployment.prune(dry_run=dry_run)
        if as_json:
            show_json(prune_json(report))
        elif any(host.layers or host.releases for host in report.hosts):
            show(prune_table(report))
        say(prune_summary(report))
        raise Ended(0)
