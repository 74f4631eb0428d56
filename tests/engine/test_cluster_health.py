"""What the health sockets of a real cluster answer."""

import json
import signal
from pathlib import Path
from typing import Any

from engine.errors import PeerUnavailableError
from engine.health import ask
from tests.engine.running import Launcher, eventually, free_ports
from tests.engine.test_cluster_failures import QUIET


def page(socket: Path, name: str) -> tuple[int, str]:
    """Status and text of a page; 0 while nobody answers."""
    try:
        return ask(str(socket), name)
    except PeerUnavailableError:
        return 0, ""


def status(socket: Path) -> dict[str, Any]:
    answer: dict[str, Any] = json.loads(page(socket, "status")[1])
    return answer


def test_a_cluster_from_its_start_to_its_stop(start: Launcher, tmp_path: Path) -> None:
    flow = start.write("quiet.py", QUIET)
    ports = free_ports(2)
    sockets = [tmp_path / f"{each}.sock" for each in range(2)]
    first = start.member(flow, 0, ports, "--health", sockets[0])
    eventually(lambda: page(sockets[0], "livez")[0] == 200, "the first answer")
    eventually(lambda: "refused" in page(sockets[0], "readyz")[1], "the reason")
    assert page(sockets[0], "readyz")[0] == 503
    second = start.member(flow, 1, ports, "--health", sockets[1])
    for socket in sockets:
        eventually(lambda: page(socket, "readyz")[0] == 200, "readiness")  # noqa: B023  # at once
        eventually(lambda: status(socket)["items_in"] > 0, "items")  # noqa: B023  # at once
    seen = status(sockets[0])
    assert seen["state"] == "running"
    assert [peer["state"] for peer in seen["peers"]] == ["connected"]
    assert seen["peers"][0]["silent_s"] is not None
    metrics = page(sockets[0], "metrics")[1]
    assert 'hostmesh_step_items_total{direction="out",step="endless.ticks",worker="0"}' in metrics
    assert "hostmesh_queue_bytes" in metrics
    assert 'hostmesh_peer_up{address="127.0.0.1:' in metrics
    first.send(signal.SIGTERM)
    assert [first.code(), second.code()] == [0, 0]
    assert not any(socket.exists() for socket in sockets)


def test_a_process_alone_shows_its_epoch(start: Launcher, tmp_path: Path) -> None:
    socket = tmp_path / "alone.sock"
    flow = start.write("quiet.py", QUIET)
    alone = start.python("-P", "-m", "engine.run", flow, "-s", 0.01, "--health", socket)
    eventually(lambda: page(socket, "readyz")[0] == 200, "readiness")
    eventually(lambda: status(socket)["epoch"] > 5, "epochs")
    alone.send(signal.SIGTERM)
    assert alone.code() == 0
