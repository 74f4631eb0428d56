"""Answer for the health of a process over HTTP, and ask another process for it.

    /livez     200 while the process and its worker threads live
    /readyz    200 when the cluster is assembled and runs, 503 with the reason otherwise
    /status    all counters as JSON
    /metrics   the same for Prometheus

It listens on a Unix socket that only its owner may use, or on a loopback port.
`python -m engine.health PATH` asks.
"""

from engine.health.asking import ask, main
from engine.health.pages import respond
from engine.health.place import parse_where
from engine.health.server import HealthServer

__all__ = ["HealthServer", "ask", "main", "parse_where", "respond"]
