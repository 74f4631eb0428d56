"""The agent layer: what of `ctl` runs on hosts."""

import json
import zlib
from functools import cache
from pathlib import Path

from ctl import remote
from ctl.layers.archive import Entry, Layer

_SENT_AS_TEXT = "boot.py"
"""It runs when it is imported, and before there is a layer."""


def agent_layer() -> Layer:
    """The layer whose root goes on `sys.path` of a host, for `ctl.remote.agent`."""
    folder = Path(remote.__file__).parent
    entries = [
        Entry.of(f"ctl/remote/{file.relative_to(folder).as_posix()}", file)
        for file in folder.rglob("*.py")
        if file.name != _SENT_AS_TEXT
    ]
    return Layer.of("agent", [Entry.of("ctl/__init__.py", b""), *entries])


@cache
def agent_sources(layer: Layer) -> bytes:
    """The same for a host where nothing is installed yet.

    Args:
        layer: The agent layer.

    Returns:
        The source of each module by its name, as JSON, compressed by zlib.
    """
    sources = {
        entry.path.removesuffix(".py").removesuffix("/__init__").replace("/", "."): b"".join(
            entry.read()
        ).decode()
        for entry in layer.entries
    }
    return zlib.compress(json.dumps(sources).encode())
