"""A flow on this machine alone, without hosts and layers."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True)
class LocalRun:
    """What is to run here.

    Args:
        flow: The FLOW argument.
        processes: How many.
        workers: Worker threads in each process.
        flags: Further ones of our own engine that the user has given, by their names.
        health: Folder for health sockets, which our own engine has.
    """

    flow: str
    processes: int = 1
    workers: int = 1
    flags: Mapping[str, float] = field(default_factory=dict)
    health: Path | None = None


def run_engine(run: LocalRun) -> int:
    """Run it with our own engine until all processes have ended; give the exit code."""
    # `ctl --help` does without it.
    from engine.launch import launch
    from engine.local import LocalCluster

    flags = tuple(f"--{name}={value}" for name, value in run.flags.items())
    return launch(
        LocalCluster(run.flow, run.processes, run.workers, flags, run.health, prefixed=True)
    )
