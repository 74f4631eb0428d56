"""What an engine needs on a host, and how one of its processes is started, asked and stopped.

A runtime can come from another package, as an entry point of the group `hostmesh.runtimes` that
gives a `Runtime`.
"""

from ctl.runtimes.base import (
    Command,
    Layers,
    Mesh,
    PlainRuntime,
    ProcessContext,
    Runtime,
    Word,
    place,
)
from ctl.runtimes.finding import find_runtime, runtime_options

__all__ = [
    "Command",
    "Layers",
    "Mesh",
    "PlainRuntime",
    "ProcessContext",
    "Runtime",
    "Word",
    "find_runtime",
    "place",
    "runtime_options",
]
