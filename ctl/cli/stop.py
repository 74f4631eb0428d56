"""`ctl stop`: stop a deployment in order."""

from typing import Annotated

import typer

from ctl.cli.ending import Ended
from ctl.cli.inventory import find
from ctl.cli.opening import interruptible, opened
from ctl.cli.options import AcceptNewHostKeys, ConnectTimeout, InventoryArgument
from ctl.ui.console import say
from ctl.ui.live import working_view
from ctl.ui.summary import stop_summary


def stop(
    inventory: InventoryArgument = None,
    *,
    grace: Annotated[
        float,
        typer.Option("--grace", metavar="SECONDS", min=0, help="Then those that go on are killed."),
    ] = 60.0,
    accept_new_host_keys: AcceptNewHostKeys = False,
    connect_timeout: ConnectTimeout = 10.0,
) -> None:
    """Stop all processes in order; what they have processed is kept.

    \b
    ctl stop
    ctl stop inventory.toml --grace 5
    """  # noqa: D301 - the formatter of help texts reads the escape
    view = working_view()
    with opened(
        find(inventory),
        view,
        accept_new_host_keys=accept_new_host_keys,
        connect_timeout=connect_timeout,
    ) as deployment:
        name = deployment.name
        with interruptible(f"some processes of {name} may go on; look with: ctl status"), view:
            stopped = deployment.stop(grace=grace)
        say(stop_summary(name, stopped))
        raise Ended(stopped.exit_code)
