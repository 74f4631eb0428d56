"""`ctl run`: a dataflow on several processes of this machine."""

from pathlib import Path
from typing import Annotated

import typer

from ctl.cli.ending import Ended


def run(
    flow: Annotated[
        str, typer.Argument(metavar="FLOW", help="module[:name] or path/to/flow.py[:name].")
    ],
    processes: Annotated[int, typer.Option("-p", "--processes", min=1, help="Processes.")] = 1,
    workers: Annotated[
        int, typer.Option("-w", "--workers-per-process", min=1, help="Worker threads in each.")
    ] = 1,
    runtime: Annotated[
        str | None,
        typer.Option(
            "--runtime", help="What runs it: bytewax, pathway or command; else our own engine."
        ),
    ] = None,
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
    # `ctl --help` does without it.
    from engine.launch import launch
    from engine.local import LocalCluster

    flags = tuple(f"--{name}={value}" for name, value in said.items() if value is not None)
    cluster = LocalCluster(flow, processes, workers, flags, health, prefixed=True)
    if runtime is None:
        raise Ended(launch(cluster))
    # Slow to import, and our own engine is there without it.
    from ctl.runtimes import find_runtime

    raise Ended(find_runtime(runtime).run(cluster))
