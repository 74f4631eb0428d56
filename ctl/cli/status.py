"""`ctl status`: what the hosts and processes of a deployment are doing."""

import time
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from ctl.cli.ending import Ended
from ctl.cli.inventory import find
from ctl.cli.opening import errors_as_json, interruptible, opened
from ctl.cli.options import AcceptNewHostKeys, ConnectTimeout, GuessedInventoryArgument, Json
from ctl.ui.console import show, show_json
from ctl.ui.live import Patient, Sentences
from ctl.ui.redraw import redrawn
from ctl.ui.table import status_table

if TYPE_CHECKING:
    from ctl.deployment import Deployment

_INTERVAL_SECONDS = 2.0


def status(
    inventory: GuessedInventoryArgument = None,
    *,
    watch: Annotated[
        bool, typer.Option("--watch", "-w", help="Look again every 2 seconds, until Ctrl-C.")
    ] = False,
    as_json: Json = False,
    accept_new_host_keys: AcceptNewHostKeys = False,
    connect_timeout: ConnectTimeout = 5.0,
) -> None:
    """Show what hosts and processes are doing; exit 0 if all is well.

    \b
    ctl status
    ctl status inventory.toml --watch
    ctl status --json | jq .state
    """  # noqa: D301 - the formatter of help texts reads the escape
    with (
        errors_as_json(as_json),
        opened(
            find(inventory, guess=True),
            Sentences() if watch else Patient(),
            accept_new_host_keys=accept_new_host_keys,
            connect_timeout=connect_timeout,
        ) as deployment,
        interruptible(f"{deployment.name} goes on as it was"),
    ):
        if watch:
            _watch(deployment, as_json=as_json)
        seen = deployment.status()
        if as_json:
            show_json(seen.to_json(), indent=2)
        else:
            show(status_table(seen))
        raise Ended(seen.exit_code)


def _watch(deployment: "Deployment", *, as_json: bool) -> NoReturn:
    with redrawn() as draw:
        while True:
            seen = deployment.status()
            if as_json:
                show_json(seen.to_json())
            else:
                draw(status_table(seen))
            time.sleep(_INTERVAL_SECONDS)
