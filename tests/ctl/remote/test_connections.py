"""The kernel's list of connections, and who is missing in it."""

import os
import socket
import subprocess
import sys
from contextlib import ExitStack

import pytest

from ctl.remote.connections import Connection, established, is_held, missing, session
from ctl.remote.joined import Joined, file_name, is_joined
from tests.engine.running import eventually

THREE = [("10.0.0.1", 9000), ("10.0.0.2", 9000), ("10.0.0.2", 9001)]


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_a_connection_counts_from_when_it_is_accepted(host):
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with ExitStack() as sockets:
        listener = sockets.enter_context(socket.create_server((host, 0), family=family))
        port = listener.getsockname()[1]
        dialer = sockets.enter_context(socket.create_connection((host, port)))
        own = dialer.getsockname()[1]
        assert Connection((host, own), (host, port)) in established(os.getpid())
        assert Connection((host, port), (host, own)) not in established(os.getpid())
        sockets.enter_context(listener.accept()[0])
        assert Connection((host, port), (host, own)) in established(os.getpid())


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_an_end_is_held_until_it_is_closed_wholly(host):
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.create_server((host, 0), family=family) as listener:
        dialer = socket.create_connection(listener.getsockname()[:2])
        end, other = dialer.getsockname()[:2], dialer.getpeername()[:2]
        with listener.accept()[0]:
            assert is_held(end, other)
            assert not is_held(end, (host, end[1]))
            dialer.shutdown(socket.SHUT_WR)
            assert is_held(end, other)
            dialer.close()
            eventually(lambda: not is_held(end, other), "its end")
            assert is_held(other, end)


def test_connections_of_another_process_are_seen_with_those_of_its_session():
    program = (
        "import socket, sys\n"
        "connection = socket.create_connection(('127.0.0.1', int(sys.argv[1])))\n"
        "connection.recv(1)"
    )
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = str(listener.getsockname()[1])
        words = ["/bin/sh", "-c", '"$@"; true', "sh", sys.executable, "-S", "-c", program, port]
        with subprocess.Popen(words, start_new_session=True) as process:
            connection = listener.accept()[0]

            def remotes() -> list[object]:
                pids = session(process.pid)
                return [each.remote for pid in pids for each in established(pid)]

            eventually(lambda: ("127.0.0.1", int(port)) in remotes(), "the connection")
            assert not established(process.pid)
            connection.close()


def test_nobody_is_missing():
    connections = [
        Connection(("10.0.0.2", 40000), ("10.0.0.1", 9000)),
        Connection(("10.0.0.2", 9000), ("10.0.0.2", 40001)),
    ]
    assert not missing(1, THREE, connections)
    assert not missing(0, THREE[:1], [])


def test_who_was_not_reached_is_named():
    assert missing(2, THREE, []) == (
        "no connection with process 0 (10.0.0.1:9000), process 1 (10.0.0.2:9000)"
    )


def test_what_a_relay_holds_is_a_connection_with_nobody(tmp_path):
    dialed = [Connection(("10.0.0.2", 40000 + n), place) for n, place in enumerate(THREE[:2])]
    hosts = ("alpha", "beta", "beta")
    assert not missing(2, THREE, dialed, hosts)
    absent = "no connection with process 0 on alpha (10.0.0.1:9000)"
    assert missing(2, THREE, dialed, hosts, tmp_path) == absent
    # Relays of one host have their listeners in common; the other one may have taken it.
    relays = [Joined(tmp_path / file_name(process), [0]) for process in (1, 2)]
    relays[0].add(0, 40001)
    assert missing(2, THREE, dialed, hosts, tmp_path) == absent
    relays[0].add(0, 40000)
    assert not missing(2, THREE, dialed, hosts, tmp_path)
    relays[0].remove(0, 40000)
    assert missing(2, THREE, dialed, hosts, tmp_path) == absent


def test_connections_with_two_peers_may_be_from_one_port(tmp_path):
    relay = Joined(tmp_path / file_name(2), [0, 1])
    for peer in (0, 1):
        relay.add(peer, 40000)
    assert [is_joined(tmp_path, peer, 40000) for peer in (0, 1)] == [True, True]
    assert not is_joined(tmp_path, 0, 40001)
    assert not is_joined(tmp_path, 2, 40000)
    relay.remove(0, 40000)
    assert [is_joined(tmp_path, peer, 40000) for peer in (0, 1)] == [False, True]


def test_who_is_missing_is_named_with_the_name_of_its_host():
    assert missing(0, THREE[:2], [], ("alpha", "beta")) == (
        "no connection with process 1 on beta (10.0.0.2:9000)"
    )


def test_who_did_not_come_is_named_by_the_host():
    places = [THREE[0], ("10.0.0.2", 9000), ("10.0.0.3", 9000)]
    came = [Connection(("10.0.0.1", 9000), ("10.0.0.3", 40000))]
    assert missing(0, places, came) == "no connection with process 1 (10.0.0.2:9000)"


def test_of_several_on_one_host_it_is_said_how_many_are_missing():
    came = [Connection(("10.0.0.1", 9000), ("10.0.0.2", 40000))]
    assert missing(0, THREE, came) == (
        "no connection with 1 of process 1 (10.0.0.2:9000), process 2 (10.0.0.2:9001)"
    )
