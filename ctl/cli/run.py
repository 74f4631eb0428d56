"""`ctl run`: a dataflow on several processes of this machine."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import typer

from ctl.cli.ending import Ended

_OWN = "engine"


def run(
    flow: Annotated[
        str, typer.Argument(metavar="FLOW", help="module[:name] or path/to/flow.py[:name].")
    ],
    processes: Annotated[int, typer.Option("-p", "--processes", min=1, help="Processes.")] = 1,
    workers: Annotated[
        int, typer.Option("-w", "--workers-per-process", min=1, help="Worker threads in each.")
    ] = 1,
    runtime: Annotated[
        str, typer.Option("--runtime", help="What runs it: engine, bytewax, pathway or command.")
    ] = "engine",
    epoch_interval: Annotated[
        float | None,
        typer.Option("-s", "--epoch-interval", min=0, help="Seconds between epochs; 10."),
    ] = None,
    heartbeat_timeout: Annotated[
        float | None,
        typer.Option("--heartbeat-timeout", min=0, help="Seconds until a silent peer is dead; 30."),
    ] = None,
    health: Annotated[
        Path | None,
        typer.Option("--health", metavar="FOLDER", help="Folder for the health sockets."),
    ] = None,
) -> None:
    """Run a dataflow on this machine; Ctrl-C stops it in order."""
    said = {"epoch-interval": epoch_interval, "heartbeat-timeout": heartbeat_timeout}
    if runtime != _OWN:
        _refuse(runtime, {**said, "health": health})
        from ctl.running import run_here

        raise Ended(run_here(runtime, flow, processes, workers))
    # `ctl --help` does without it.
    from engine.launch import launch
    from engine.local import LocalCluster

    flags = tuple(f"--{name}={value}" for name, value in said.items() if value is not None)
    raise Ended(launch(LocalCluster(flow, processes, workers, flags, health, prefixed=True)))


def _refuse(runtime: str, said: Mapping[str, object]) -> None:
    """Refuse the flags of our own engine where another one runs."""
    from ctl.errors import UsageError

    for name, value in said.items():
        if value is not None:
            problem = f"--{name} is a flag of our own engine, and {runtime} is to run"
            raise UsageError(problem, "leave it out")
