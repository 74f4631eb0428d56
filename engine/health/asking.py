"""Ask a process for its health."""

import sys
from collections.abc import Sequence
from typing import NoReturn

from engine.errors import ConfigurationError, PeerUnavailableError, UsageError
from engine.health.pages import OK, PAGES
from engine.health.place import connect, parse_where, reason

_TIME_LIMIT = 5.0


def ask(where: str, page: str, time_limit: float = _TIME_LIMIT) -> tuple[int, str]:
    """Ask a process for a page.

    Args:
        where: Path of its Unix socket, or `host:port` on loopback.
        page: One of `PAGES`.
        time_limit: Seconds to wait for it.

    Returns:
        HTTP status and text.

    Raises:
        ConfigurationError: If `where` is neither.
        PeerUnavailableError: If nobody answers.
    """
    from http.client import HTTPConnection, HTTPException  # See `engine.health.pages`.

    place = parse_where(where)
    client = HTTPConnection("localhost")
    try:
        client.sock = connect(place, time_limit)
        client.request("GET", f"/{page}")
        response = client.getresponse()
        return response.status, response.read().decode("utf-8", "replace")
    except (OSError, HTTPException) as error:
        msg = f"no process answers at {where}: {reason(error)}"
        raise PeerUnavailableError(msg) from error
    finally:
        client.close()


def main(arguments: Sequence[str] | None = None) -> int:
    """Ask a process, print its answer, and say by the exit code whether it was good."""
    import argparse  # Only this command line needs it.

    class Parser(argparse.ArgumentParser):
        def error(self, message: str) -> NoReturn:
            self.print_usage(sys.stderr)
            self.exit(UsageError.exit_code, f"error: {message}\n")

    parser = Parser(
        prog="python -m engine.health",
        description="Ask a running process of a dataflow how it is.",
        epilog="exit codes: 0 the answer is good; 64 wrong usage; "
        "69 nobody answers, or the process is not ready or not alive",
    )
    parser.add_argument("where", metavar="PATH", help="its Unix socket, or host:port on loopback")
    parser.add_argument(
        "page",
        nargs="?",
        default="status",
        choices=PAGES,
        help="livez: do its threads live; readyz: is it assembled and running; "
        "status: counters as JSON (default); metrics: counters for Prometheus",
    )
    asked = parser.parse_args(arguments)
    try:
        code, text = ask(asked.where, asked.page)
    except ConfigurationError as error:
        parser.error(str(error))
    except PeerUnavailableError as error:
        sys.stderr.write(f"error: {error}\n")
        return error.exit_code
    is_good = code == OK
    (sys.stdout if is_good else sys.stderr).write(text)
    return 0 if is_good else PeerUnavailableError.exit_code
