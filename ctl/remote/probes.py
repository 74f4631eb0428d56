"""Ask a process how it is, by the means that its runtime has for it.

A launch says one of

- `{"kind": "health", "socket": <path>}`: it answers on a Unix socket, with counters
- `{"kind": "connections", "process": <id>, "addresses": [[host, port], …],
  "hosts": [name, …], "relayed": <folder of the launch>}`: it has a connection with every other
  process; the last is there if relays carry those to other hosts
- `{"kind": "tcp", "address": [host, port]}`: it takes connections
- `{"kind": "http", "address": [host, port], "url": <URL or path>}`: it answers with 2xx or 3xx
- `{"kind": "log", "pattern": <regular expression>}`: it has written such a line
- `{"kind": "at_once"}`: it was started

each with `"monitoring": <port>` beside, if it may have a page of Pathway's there.
"""

import json
import os
import re
import socket
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from ctl.remote.connections import established, missing, session
from ctl.remote.logfile import TIME_LENGTH, Cursor, read

_TIME_LIMIT = 2.0
_LONGEST = 1 << 20
_MARK_LENGTH = TIME_LENGTH + 3


class Answer(NamedTuple):
    """What is known of a process that runs.

    Args:
        ready: Whether it does its work.
        reason: Why it does not.
        items_in: Items that it has read, if it counts them.
        items_out: Items that it has written, if it counts them.
        last_error: What went wrong last, in a line.
        lag_s: Seconds that what it has written is behind what it has read, if it says so.
    """

    ready: bool
    reason: str = ""
    items_in: int | None = None
    items_out: int | None = None
    last_error: str | None = None
    lag_s: float | None = None


class Asked(NamedTuple):
    """Which process is asked.

    Args:
        pid: Its process ID; None if it does not run just now.
        log: Folder of its log.
        log_start: Where its log begins.
    """

    pid: int | None
    log: Path
    log_start: Cursor = (0, 0)


def ask(probe: Mapping[str, Any], asked: Asked) -> Answer:
    """Ask a process; this never fails, and takes few seconds at most."""
    if asked.pid is None:
        return Answer(ready=False, reason="it is not started yet")
    answer = _KINDS[probe["kind"]](probe, asked)
    if answer.ready and "monitoring" in probe:
        # Slow to import, and one runtime asks like this.
        from ctl.remote.monitoring import lag

        return answer._replace(lag_s=lag(_pids(probe, asked.pid), probe["monitoring"]))
    return answer


def _at_once(_probe: Mapping[str, Any], _asked: Asked) -> Answer:
    return Answer(ready=True)


def _connections(probe: Mapping[str, Any], asked: Asked) -> Answer:
    assert asked.pid is not None
    addresses = [(str(host), int(port)) for host, port in probe["addresses"]]
    pids = _pids(probe, asked.pid)
    connections = [each for pid in pids for each in established(pid)]
    relayed = Path(probe["relayed"]) if "relayed" in probe else None
    lack = missing(int(probe["process"]), addresses, connections, probe.get("hosts", ()), relayed)
    return Answer(ready=not lack, reason=lack)


def _pids(probe: Mapping[str, Any], pid: int) -> list[int]:
    """The processes that count: a program may be started by another one, which is what runs."""
    return session(pid) if probe.get("session") else [pid]


def _tcp(probe: Mapping[str, Any], _asked: Asked) -> Answer:
    host, port = probe["address"]
    try:
        socket.create_connection((host, port), _TIME_LIMIT).close()
    except (OSError, UnicodeError) as error:
        return Answer(ready=False, reason=f"nothing listens on {host}:{port} yet ({error})")
    return Answer(ready=True)


def _http(probe: Mapping[str, Any], _asked: Asked) -> Answer:
    # Slow to import, and few ask like this.
    from http.client import HTTPException
    from urllib.error import HTTPError
    from urllib.parse import urljoin
    from urllib.request import ProxyHandler, build_opener

    host, port = probe["address"]
    url = urljoin(
        f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}", probe["url"]
    )
    try:
        # No proxy: it is this host that is asked.
        with build_opener(ProxyHandler({})).open(url, timeout=_TIME_LIMIT):
            return Answer(ready=True)
    except HTTPError as error:
        error.close()
        return Answer(ready=False, reason=f"{url} answers with {error.code}")
    except (OSError, HTTPException, ValueError) as error:
        return Answer(ready=False, reason=f"{url} does not answer yet ({error})")


def _log(probe: Mapping[str, Any], asked: Asked) -> Answer:
    pattern = re.compile(probe["pattern"].encode("utf-8", "surrogateescape"))
    for data, _ in read(asked.log, asked.log_start):
        # Each begins with its time and its stream.
        if any(pattern.search(line[_MARK_LENGTH:]) for line in data.splitlines()):
            return Answer(ready=True)
    return Answer(ready=False, reason=f"no line of its log matches {probe['pattern']!r} yet")


def _health(probe: Mapping[str, Any], _asked: Asked) -> Answer:
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
    except OSError as error:
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
            # Our own engine answers, in HTTP/1.0. `http.client` takes as long to import as all else
            # that a session needs.
            answer = b""
            while len(answer) < _LONGEST and (more := connection.recv(_LONGEST)):
                answer += more
            return answer.partition(b"\r\n\r\n")[2]
    finally:
        os.close(folder)


_KINDS: dict[str, Callable[[Mapping[str, Any], Asked], Answer]] = {
    "health": _health,
    "connections": _connections,
    "tcp": _tcp,
    "http": _http,
    "log": _log,
    "at_once": _at_once,
}
