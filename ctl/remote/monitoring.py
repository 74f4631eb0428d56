"""What Pathway says of itself on its monitoring page (`with_http_server=True`)."""

import re
from collections.abc import Sequence
from http.client import HTTPConnection, HTTPException

from ctl.remote.connections import listening

_SECONDS = 2.0
_LONGEST = 1 << 20
_LATENCY = re.compile(rb"^output_latency_ms (\d+)$", re.MULTILINE)
"""Negative once it has finished."""


def lag(pids: Sequence[int], port: int) -> float | None:
    """Seconds that what is written is behind what was read; None if nobody says so.

    Args:
        pids: Processes that may have the page; another program's on the same port does not count.
        port: Where it is.
    """
    places = [place for pid in pids for place in listening(pid) if place[1] == port]
    for host, _ in places:
        page = _page(host, port)
        if (found := _LATENCY.search(page)) is not None:
            return int(found[1]) / 1000
    return None


def _page(host: str, port: int) -> bytes:
    connection = HTTPConnection(host, port, timeout=_SECONDS)
    try:
        connection.request("GET", "/status")
        return connection.getresponse().read(_LONGEST)
    except (OSError, HTTPException):
        return b""
    finally:
        connection.close()
