import errno
import os
import socket

import pytest

from ctl.remote.reach import Listeners, dial
from tests.engine.running import free_ports


@pytest.fixture
def listeners():
    opened = Listeners()
    yield opened
    opened.close()


def test_ports_that_others_reach(listeners):
    places = [["127.0.0.1", port] for port in free_ports(3)]
    assert listeners.open(places) == [None] * 3
    assert dial(places, 5.0) == [None] * 3
    listeners.close()
    refused = "refused; a firewall may reject it, or `bind` is another address"
    assert dial(places, 5.0) == [refused] * 3
    assert listeners.open(places) == [None] * 3


def test_nothing_to_do(listeners):
    assert listeners.open([]) == []
    assert dial([], 5.0) == []
    listeners.close()


def test_more_dialers_than_threads(listeners):
    place = ["127.0.0.1", *free_ports(1)]
    listeners.open([place])
    assert dial([place] * 100, 5.0) == [None] * 100


def test_all_addresses(listeners):
    (port,) = free_ports(1)
    assert listeners.open([["0.0.0.0", port]]) == [None]
    assert dial([["127.0.0.1", port], ["localhost", port]], 5.0) == [None, None]


@pytest.mark.skipif(not socket.has_ipv6, reason="no IPv6")
def test_another_family(listeners):
    try:
        probe = socket.create_server(("::1", 0), family=socket.AF_INET6)
    except OSError:
        pytest.skip("no IPv6 here")
    place = ["::1", probe.getsockname()[1]]
    probe.close()
    assert listeners.open([place]) == [None]
    assert dial([place], 5.0) == [None]


def test_what_a_program_without_reuse_has_left(listeners):
    """Who ends a connection first keeps its port for some time; nobody else may listen there."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        place = listener.getsockname()
        with socket.create_connection(place) as near:
            listener.accept()[0].close()
            assert near.recv(1) == b""
    reason = "in use by connections of a program that has ended; free in a minute"
    assert listeners.open([list(place)]) == [reason]


def test_why_it_cannot_be_listened_on(listeners):
    with socket.create_server(("127.0.0.1", 0)) as other:
        places = [
            ["127.0.0.1", other.getsockname()[1]],
            ["192.0.2.1", 9000],
            ["no.such.name.invalid", 9000],
            ["x" * 70 + ".invalid", 9000],
        ]
        assert listeners.open(places) == [
            "in use by another program",
            "not an address of this host",
            "name not known",
            "name not known",
        ]


def test_names_that_cannot_be_dialled():
    places = [["no.such.name.invalid", 1], ["x" * 70 + ".invalid", 1]]
    assert dial(places, 5.0) == ["name not known", "name not known"]


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (TimeoutError("timed out"), "timed out; a firewall may drop it"),
        (OSError(errno.EHOSTUNREACH, "x"), "no route; a firewall may reject it"),
        (OSError(errno.ENETUNREACH, "x"), "no route; a firewall may reject it"),
        (OSError(errno.EPERM, "x"), os.strerror(errno.EPERM)),
        (OSError("odd"), "odd"),
    ],
)
def test_why_it_cannot_be_dialled(monkeypatch, error, reason):
    def fail(*_args):
        raise error

    monkeypatch.setattr(socket, "create_connection", fail)
    assert dial([["192.0.2.1", 9000]], 5.0) == [reason]


def test_a_port_for_root_alone(listeners, monkeypatch):
    class Socket(socket.socket):
        def bind(self, address):
            raise PermissionError(errno.EACCES, "x")

    monkeypatch.setattr(socket, "socket", Socket)
    reasons = listeners.open([["127.0.0.1", 80]])
    assert reasons == ["not allowed for this user; ports below 1024 are for root"]
