import socket
import threading
import time

import pytest

from engine.mesh import dial as dial_module
from engine.mesh.dial import Dial
from engine.mesh.loop import Loop
from engine.settings import Address
from tests.engine.mesh.nodes import DEADLINE, address_of


@pytest.fixture
def loop():
    loop = Loop()
    yield loop
    loop.close()


def result_of(loop, address, limit=5.0):
    results = []
    dial = Dial(loop, address, limit, results.append)
    end = time.monotonic() + DEADLINE
    while not results:
        assert time.monotonic() < end
        loop.turn(min(dial.deadline, end))
        dial.tick(time.monotonic())
    return results[0]


def test_a_name_may_stand_for_several_addresses(loop, monkeypatch, cluster):
    """The first that answers is taken."""
    refusing = cluster.refusing()
    with socket.create_server(("127.0.0.1", 0)) as server:
        found = [(int(socket.AF_INET), tuple(where)) for where in (refusing, address_of(server))]
        monkeypatch.setattr(dial_module, "find", lambda *_: found)
        with result_of(loop, Address("name", 1)) as sock:
            assert sock.getpeername() == server.getsockname()


def test_a_slow_name_server_blocks_nobody(loop, monkeypatch):
    answered = threading.Event()

    def find(address, flags=0):
        if flags:
            raise socket.gaierror
        answered.wait(DEADLINE)
        return []

    monkeypatch.setattr(dial_module, "find", find)
    assert result_of(loop, Address("name", 1), limit=0.05) == "timed out looking up its name"
    answered.set()


def test_a_name_that_cannot_be_looked_up_now(loop, monkeypatch):
    def find(*_):
        raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")

    monkeypatch.setattr(dial_module, "find", find)
    reason = result_of(loop, Address("name", 1))
    assert reason == "name not known (Temporary failure in name resolution)"


def test_a_name_that_is_no_name(loop):
    assert result_of(loop, Address("a" * 300, 1)).startswith("name not known")


def test_a_connection_to_oneself_is_none(loop, monkeypatch):
    """On loopback a socket that dials its own port is connected to itself."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        sock.connect(sock.getsockname())
        assert dial_module._meets_itself(sock)


def test_a_stopped_dial_says_nothing(loop, cluster):
    results = []
    dial = Dial(loop, cluster.refusing(), 5.0, results.append)
    dial.stop()
    loop.turn(time.monotonic() + 0.01)
    dial.tick(dial.deadline)
    assert results == []
