import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from ctl.errors import UnreachableError
from ctl.transport.ssh.gate import DroppedError, Gate
from tests.engine.running import eventually


class Crowd:
    """Connections that stay in the gate until they are let go."""

    def __init__(self, gate: Gate, servers: list[str]) -> None:
        self.inside: list[str] = []
        self.go = threading.Event()
        self._gate = gate
        self._threads = ThreadPoolExecutor(len(servers))
        self._results = [self._threads.submit(self._run, server) for server in servers]

    def _run(self, server: str) -> None:
        self._gate.run((server, 22), lambda: self._connect(server))

    def _connect(self, server: str) -> None:
        self.inside.append(server)
        assert self.go.wait(30)

    def finish(self) -> None:
        self.go.set()
        for result in self._results:
            result.result(30)
        self._threads.shutdown()


def test_so_many_at_once_and_so_many_to_one_server() -> None:
    crowd = Crowd(Gate(hosts=4, handshakes=2), ["bastion"] * 5 + ["a", "b", "c"])
    eventually(lambda: len(crowd.inside) == 4, "four inside")
    assert crowd.inside.count("bastion") <= 2
    crowd.finish()
    assert len(crowd.inside) == 8


def test_who_waits_for_a_busy_server_holds_back_nobody_else() -> None:
    gate = Gate(hosts=3, handshakes=2)
    busy = Crowd(gate, ["bastion"] * 10)
    eventually(lambda: len(busy.inside) == 2, "two inside")
    gate.run(("alpha", 22), lambda: None)
    busy.finish()


def test_what_was_dropped_is_tried_again_after_longer_and_longer_pauses() -> None:
    pauses: list[float] = []
    tries = iter(["dropped", "dropped", "dropped", "there"])

    def connect() -> str:
        result = next(tries)
        if result == "dropped":
            raise DroppedError(result)
        return result

    gate = Gate(sleep=pauses.append, jitter=lambda: 1.0)
    assert gate.run(("alpha", 22), connect) == "there"
    assert pauses == [0.25, 0.5, 1.0]


def test_a_pause_is_at_least_half_of_its_length_and_has_a_limit() -> None:
    pauses: list[float] = []

    def connect() -> None:
        raise DroppedError("busy")

    gate = Gate(tries=6, sleep=pauses.append, jitter=lambda: 0.0)
    with pytest.raises(DroppedError, match="busy"):
        gate.run(("alpha", 22), connect)
    assert pauses == [0.125, 0.25, 0.5, 1.0, 1.0]


def test_nobody_is_inside_during_a_pause() -> None:
    def sleep(_: float) -> None:
        assert gate.run(("alpha", 22), lambda: "other") == "other"

    tries = iter([True, False])

    def connect() -> None:
        if next(tries):
            raise DroppedError("busy")

    gate = Gate(hosts=1, handshakes=1, sleep=sleep)
    gate.run(("alpha", 22), connect)


def test_other_errors_pass_at_once() -> None:
    def connect() -> None:
        raise UnreachableError("refused")

    gate = Gate(sleep=lambda _: pytest.fail("it paused"))
    with pytest.raises(UnreachableError, match="refused"):
        gate.run(("alpha", 22), connect)
