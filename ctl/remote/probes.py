"""Ask a process how it is, by the means that its runtime has for it.

A launch says `{"kind": "health", "socket": <path>}` for a process that answers on a Unix socket.
"""

import json
import os
import socket
from collections.abc import Callable, Mapping
from http.client import HTTPException, HTTPResponse
from pathlib import Path
from typing import Any, NamedTuple

_TIME_LIMIT = 2.0
_LONGEST = 1 << 20


class Answer(NamedTuple):
    """What is known of a process that runs.

    Args:
        ready: Whether it does its work.
        reason: Why it does not.
        items_in: Items that it has read, if it counts them.
        items_out: Items that it has written, if it counts them.
        last_error: What went wrong last, in a line.
    """

    ready: bool
    reason: str = ""
    items_in: int | None = None
    items_out: int | None = None
    last_error: str | None = None


def ask(probe: Mapping[str, Any]) -> Answer:
    """Ask a process; this never fails, and takes two seconds at most."""
    return _KINDS[probe["kind"]](probe)


def _health(probe: Mapping[str, Any]) -> Answer:
    try:
        status = json.loads(_get(Path(probe["socket"]), "/status"))
        return Answer(
            ready=bool(status["ready"]),
            reason=status["reason"] or "",
            items_in=status["items_in"],
            items_out=status["items_out"],
            last_error=status["last_error"],
        )
    except (FileNotFoundError, ConnectionError):
        return Answer(ready=False, reason="it is starting")
    except (OSError, HTTPException) as error:
        return Answer(ready=False, reason=f"it does not answer ({error})")
    except (ValueError, LookupError, TypeError):
        return Answer(ready=False, reason="it does not answer as it should")


def _get(path: Path, page: str) -> bytes:
    # The path of a Unix socket has 107 bytes at most; that of its folder may be longer.
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(_TIME_LIMIT)
            connection.connect(f"/proc/self/fd/{folder}/{path.name}")
            connection.sendall(f"GET {page} HTTP/1.0\r\n\r\n".encode())
            response = HTTPResponse(connection)
            response.begin()
            return response.read(_LONGEST)
    finally:
        os.close(folder)


_KINDS: dict[str, Callable[[Mapping[str, Any]], Answer]] = {"health": _health}
