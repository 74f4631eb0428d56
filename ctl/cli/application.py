"""The application that the commands belong to."""

from typing import Annotated

import typer

from ctl.cli.check import check
from ctl.cli.deploy import deploy
from ctl.cli.init import init
from ctl.cli.logs import logs
from ctl.cli.prune import prune
from ctl.cli.run import run
from ctl.cli.status import status
from ctl.cli.stop import stop
from ctl.cli.trust import trust

app = typer.Typer(
    help="Run a dataflow here, or on hosts that form their own mesh.",
    no_args_is_help=True,
    # Rich is slow to import, and a traceback is for whoever reports a bug.
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for command in (run, init, trust, check, deploy, status, logs, stop, prune):
    app.command()(command)


def _show_version(wanted: bool) -> None:
    if wanted:
        from engine import __version__

        typer.echo(f"hostmesh {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    *,
    version: Annotated[
        bool,
        typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version."),
    ] = False,
) -> None:
    """What comes before the command."""
