"""What is answered to one HTTP request."""

import io
import logging
from typing import Any

from engine.metrics import ProcessStats, prometheus_text

PAGES = ("livez", "readyz", "status", "metrics")

OK = 200
_UNAVAILABLE = 503

_log = logging.getLogger("engine.health")


def respond(head: bytes, stats: ProcessStats) -> bytes:
    """Answer one HTTP request.

    Args:
        head: Request line and headers, up to and with the empty line.
        stats: The counters to answer from.
    """
    # It brings ssl and the email package along, which only a process that is asked needs.
    from http.server import BaseHTTPRequestHandler

    answer = io.BytesIO()

    class Exchange(BaseHTTPRequestHandler):
        server_version, sys_version = "hostmesh", ""
        error_content_type, error_message_format = "text/plain; charset=utf-8", "%(explain)s\n"

        def setup(self) -> None:
            self.rfile = io.BytesIO(head)
            self.wfile = answer

        def finish(self) -> None:
            pass

        def do_GET(self) -> None:
            name = self.path.partition("?")[0].removeprefix("/")
            if name not in PAGES:
                self.send_error(404, explain=f"there is no such page; there are {', '.join(PAGES)}")
                return
            try:
                code, kind, body = _page(name, stats)
            except Exception as error:
                _log.exception("health: /%s cannot be answered", name)
                code, kind, body = 500, "text/plain", f"{type(error).__name__}\n".encode()
            self.send_response(code)
            self.send_header("Content-Type", f"{kind}; charset=utf-8")
            self.send_header("Content-Length", str(len(body)))
            self.send_header("Cache-Control", "no-store")
            self.end_headers()
            self.wfile.write(body)

        def _refuse(self) -> None:
            self.send_error(405, explain="only GET is answered here")

        # The names that the base class looks for.
        do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = do_OPTIONS = _refuse  # noqa: N815

        def log_message(self, *_: Any) -> None:
            pass

    Exchange(None, ("", 0), None)  # type: ignore[arg-type]  # setup() takes bytes, not a socket
    return answer.getvalue()


def _page(name: str, stats: ProcessStats) -> tuple[int, str, bytes]:
    if name == "metrics":
        return OK, "text/plain; version=0.0.4", prometheus_text(stats)
    if name == "status":
        import json  # See `respond`.

        return OK, "application/json", json.dumps(stats.status(), indent=2).encode() + b"\n"
    reason = stats.not_alive() if name == "livez" else stats.not_ready()
    return OK if reason is None else _UNAVAILABLE, "text/plain", f"{reason or 'ok'}\n".encode()
