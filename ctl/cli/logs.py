"""`ctl logs`: what the processes of a deployment have written, in time order."""

from contextlib import closing
from datetime import UTC, datetime
from typing import Annotated

import typer

from ctl.cli.completion import complete_host, complete_process
from ctl.cli.inventory import find
from ctl.cli.opening import errors_as_json, interruptible, opened
from ctl.cli.options import AcceptNewHostKeys, ConnectTimeout, GuessedInventoryArgument, Json
from ctl.cli.selection import select
from ctl.cli.showing import shower
from ctl.cli.since import parse_since
from ctl.ui.live import Patient, Sentences

_LINES = 100


def logs(
    inventory: GuessedInventoryArgument = None,
    *,
    follow: Annotated[
        bool, typer.Option("--follow", "-f", help="Go on with lines as they come.")
    ] = False,
    lines: Annotated[
        int | None,
        typer.Option(
            "--lines",
            "-n",
            metavar="N",
            min=0,
            help="The last N of each process; 100, or all since T.",
        ),
    ] = None,
    since: Annotated[
        str | None,
        typer.Option("--since", metavar="T", help="Not what is older: 10m, 2h, or an ISO time."),
    ] = None,
    process: Annotated[
        list[int] | None,
        typer.Option(
            metavar="K", help="Only this one; may be repeated.", autocompletion=complete_process
        ),
    ] = None,
    host: Annotated[
        list[str] | None,
        typer.Option(
            metavar="H", help="Only this one; may be repeated.", autocompletion=complete_host
        ),
    ] = None,
    as_json: Json = False,
    accept_new_host_keys: AcceptNewHostKeys = False,
    connect_timeout: ConnectTimeout = 10.0,
) -> None:
    """Show what the processes have written, merged in time order.

    \b
    ctl logs -f
    ctl logs --since 10m --process 0 --process 2
    ctl logs inventory.toml --host alpha -n 1000 --json
    """  # noqa: D301 - the formatter of help texts reads the escape
    start = parse_since(since, datetime.now(UTC)) if since is not None else None
    count = _LINES if lines is None and start is None else lines
    with (
        errors_as_json(as_json),
        opened(
            find(inventory, guess=True),
            Sentences() if follow else Patient(),
            accept_new_host_keys=accept_new_host_keys,
            connect_timeout=connect_timeout,
        ) as deployment,
    ):
        processes, hosts = select(deployment.inventory, process, host)
        found = deployment.logs(
            follow=follow, lines=count, since=start, processes=processes, hosts=hosts
        )
        with (
            interruptible(f"{deployment.name} goes on as it was"),
            closing(found),
            shower(deployment, as_json=as_json) as show,
        ):
            for line in found:
                show(line)
