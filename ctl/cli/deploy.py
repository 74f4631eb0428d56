"""`ctl deploy`: push a dataflow to all hosts of an inventory and run it there."""

from pathlib import Path
from typing import Annotated

import typer

from ctl.cli.ending import Ended
from ctl.cli.inventory import find, remember
from ctl.cli.opening import errors_as_json, interruptible, opened
from ctl.cli.options import AcceptNewHostKeys, ConnectTimeout, Json
from ctl.cli.showing import shower
from ctl.errors import UsageError
from ctl.ui.console import say, show_json
from ctl.ui.live import working_view
from ctl.ui.summary import deploy_json, deploy_summary

_HALF_WAY = "what hosts had not confirmed is undone by themselves; look with: ctl status"


def deploy(
    inventory: Annotated[
        str | None,
        typer.Argument(
            metavar="INVENTORY",
            help="The inventory; left out, CTL_INVENTORY or inventory.toml in this folder.",
            show_default=False,
        ),
    ] = None,
    flow: Annotated[
        str | None,
        typer.Argument(
            metavar="FLOW", help="module[:name] or path/to/flow.py[:name].", show_default=False
        ),
    ] = None,
    *,
    follow: Annotated[
        bool, typer.Option("--follow", "-f", help="Show the logs until the dataflow has ended.")
    ] = False,
    insecure: Annotated[
        bool, typer.Option("--insecure", help="Let the mesh do without TLS.")
    ] = False,
    as_json: Json = False,
    accept_new_host_keys: AcceptNewHostKeys = False,
    connect_timeout: ConnectTimeout = 10.0,
) -> None:
    """Push a dataflow to all hosts and run it there, or on none.

    \b
    ctl deploy inventory.toml flow.py
    ctl deploy flow.py --follow
    """  # noqa: D301 - the formatter of help texts reads the escape
    path, flow = _words(inventory, flow)
    view = working_view()
    with (
        errors_as_json(as_json),
        opened(
            path,
            view,
            accept_new_host_keys=accept_new_host_keys,
            connect_timeout=connect_timeout,
        ) as deployment,
    ):
        with interruptible(f"{deployment.name}: {_HALF_WAY}"), view:
            deployed = deployment.deploy(flow, insecure=insecure)
        remember(path)
        say(deploy_summary(deployment.name, deployed))
        if as_json:
            show_json(deploy_json(deployment.name, deployed))
        if follow:
            goes_on = f"{deployment.name} goes on; see it with: ctl logs -f, end it with: ctl stop"
            with interruptible(goes_on), shower(deployment, as_json=as_json) as show:
                code = deployment.follow(show)
            raise Ended(code)
        if deployed.exit_code:
            raise Ended(deployed.exit_code)


def _words(first: str | None, second: str | None) -> tuple[Path, str]:
    """Tell the inventory from the dataflow: one that is alone is the dataflow."""
    if second is None:
        if first is None or first.endswith(".toml"):
            problem = "which dataflow? none is named"
            raise UsageError(problem, f"add it: ctl deploy {first or 'inventory.toml'} flow.py")
        return find(None), first
    if first is None or (second.endswith(".toml") and not first.endswith(".toml")):
        problem = "the inventory goes before the dataflow"
        raise UsageError(problem, f"turn them round: ctl deploy {second} {first}")
    return Path(first), second
