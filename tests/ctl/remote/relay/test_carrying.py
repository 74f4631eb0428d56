"""Connections through two relays, over real sockets."""

import contextlib
import os
import socket
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from ctl.remote.joined import is_joined
from ctl.remote.relay.carrying import Carrier
from tests.ctl.remote.relay.two_hosts import LIMIT, accept, dial, is_reset, read_all, reset
from tests.engine.running import eventually


@pytest.fixture
def listener(hosts):
    with hosts.listen(0) as listener:
        yield listener


@pytest.fixture
def joined(hosts, relays, listener):
    near, far = hosts.join(listener)
    with near, far:
        far.sendall(b"!")
        assert near.recv(1) == b"!"
        yield near, far


def send_until_held_up(sock):
    """Send until nobody takes more; give how much that was."""
    sent = 0
    sock.settimeout(0.5)
    with contextlib.suppress(TimeoutError):
        while sent < 1 << 30:
            sent += sock.send(bytes(1 << 16))
    assert sent < 1 << 30
    sock.settimeout(LIMIT)
    return sent


def has_looked(relay):
    """Whether it looks from time to time whether an engine still has its connection."""
    return any(each._next_look for each in relay.relay._open.copy() if isinstance(each, Carrier))


def idle(*relays):
    eventually(lambda: not any(each.relay.connections for each in relays), "the end of all")


def test_a_connection_comes_from_the_address_of_who_has_dialed(hosts, joined):
    _, far = joined
    assert far.getpeername()[0] == hosts.local(0)[0]


def test_the_relay_of_who_dials_shows_what_has_come_to_its_peer(hosts, relays):
    with hosts.dial(1) as near:
        port = near.getsockname()[1]
        # It is connected, but with nobody but its relay.
        near.sendall(b"?")
        assert not is_joined(hosts.folder, 0, port)
        with hosts.listen(0) as listener, accept(listener) as far:
            eventually(lambda: is_joined(hosts.folder, 0, port), "it is joined")
            assert not is_joined(hosts.folder, 1, far.getpeername()[1]), "that was not dialed there"
            assert far.recv(1) == b"?"
            reset(near)
            eventually(lambda: not is_joined(hosts.folder, 0, port), "its end")


def test_what_is_joined_is_for_the_eyes_of_its_user_alone(hosts, relays):
    modes = {file.stat().st_mode & 0o777 for file in hosts.folder.glob("joined-*")}
    assert modes == {0o600}


def test_data_goes_both_ways_at_once(joined):
    sent = [os.urandom(20 << 20) for _ in joined]

    def send(sock, data):
        sock.sendall(data)
        sock.shutdown(socket.SHUT_WR)

    with ThreadPoolExecutor(4) as pool:
        for sock, data in zip(joined, sent, strict=True):
            pool.submit(send, sock, data)
        got = list(pool.map(read_all, joined))
    assert got == sent[::-1]


@pytest.mark.parametrize("first", [0, 1])
def test_a_half_close_comes_behind_the_data_and_leaves_the_other_direction(joined, relays, first):
    one, other = joined[first], joined[1 - first]
    question, answer = os.urandom(3 << 20), os.urandom(3 << 20)
    sender = threading.Thread(target=one.sendall, args=(question,))
    sender.start()
    got = bytearray()
    while len(got) < len(question):
        got += other.recv(1 << 20)
    sender.join()
    one.shutdown(socket.SHUT_WR)
    assert other.recv(1) == b""
    assert got == question
    sender = threading.Thread(target=other.sendall, args=(answer,))
    sender.start()
    got.clear()
    while len(got) < len(answer):
        got += one.recv(1 << 20)
    sender.join()
    assert got == answer
    other.close()
    assert one.recv(1) == b""
    idle(*relays)
    assert relays[0].lines == relays[1].lines == []


def test_all_of_a_closed_connection_arrives(hosts, relays, listener):
    data = os.urandom(5 << 20)
    with hosts.dial(1) as near:
        far = accept(listener)
        sender = threading.Thread(target=lambda: (near.sendall(data), near.close()))
        sender.start()
        with far:
            assert read_all(far) == data
        sender.join()
    idle(*relays)


def test_a_short_request_needs_nobody_to_wait(hosts, relays, listener):
    with hosts.dial(1) as near:
        near.sendall(b"farewell")
    with accept(listener) as far:
        assert read_all(far) == b"farewell"


@pytest.mark.parametrize("killed", [0, 1])
def test_a_reset_is_a_reset_at_the_other_end(joined, relays, killed):
    reset(joined[killed])
    assert is_reset(joined[1 - killed])
    idle(*relays)


def test_an_engine_that_does_not_read_holds_up_its_peer(joined):
    near, far = joined
    sent = send_until_held_up(near)
    near.shutdown(socket.SHUT_WR)
    assert len(read_all(far)) == sent


def test_an_engine_that_closes_what_it_could_not_send_yet_loses_nothing(joined, relays):
    """It has been told of its peer's end already, so that the system calls it hung up."""
    near, far = joined
    far.shutdown(socket.SHUT_WR)
    assert near.recv(1) == b""
    sent = send_until_held_up(near)
    near.close()
    assert len(read_all(far)) == sent
    far.close()
    idle(*relays)


def test_two_hundred_connections_carry_their_own_data(hosts, relays, listener):
    near = [hosts.dial(1) for _ in range(200)]
    for number, sock in enumerate(near):
        sock.sendall(b"%d\n" % number)
    far = [accept(listener) for _ in near]
    for sock in far:
        sock.sendall(b"you are " + sock.recv(100))
        sock.close()
    for number, sock in enumerate(near):
        assert read_all(sock) == b"you are %d\n" % number
        sock.close()
    idle(*relays)


# Held.


def test_a_connection_is_held_until_the_engine_listens(hosts, relays):
    with hosts.dial(1) as near:
        near.sendall(b"early")
        eventually(lambda: relays[0].relay.connections, "a link")
        with hosts.listen(0) as listener, accept(listener) as far:
            assert far.recv(100) == b"early"
            far.sendall(b"late")
            assert near.recv(100) == b"late"
    assert relays[0].lines == relays[1].lines == []


def test_a_connection_is_held_until_the_relay_is_there(hosts, start, listener):
    waits = start(1)
    with hosts.dial(1) as near:
        near.sendall(b"early")
        eventually(lambda: waits.lines, "a line")
        start(0)
        with accept(listener) as far:
            assert far.recv(100) == b"early"
    address = "{}:{}".format(*hosts.meshes[0])
    assert waits.lines == [f"process 0 at {address}: connection refused"]


def test_a_held_connection_outlives_the_relay_that_holds_it_at_the_other_end(hosts, start):
    first, waits = start(0), start(1)
    with hosts.dial(1) as near:
        near.sendall(b"early")
        eventually(lambda: first.relay.connections, "a link")
        first.call(first.break_links)
        eventually(lambda: waits.lines, "a line")
        with hosts.listen(0) as listener, accept(listener) as far:
            assert far.recv(100) == b"early"


@pytest.mark.parametrize("ends", [socket.socket.close, reset])
def test_an_engine_that_gave_up_is_not_connected_later(hosts, relays, ends):
    gone = hosts.dial(1)
    gone.sendall(b"from a process that is gone")
    eventually(lambda: relays[0].relay.connections, "a link")
    ends(gone)
    idle(*relays)
    with hosts.listen(0) as listener, hosts.dial(1) as near, accept(listener) as far:
        near.sendall(b"from its successor")
        assert far.recv(100) == b"from its successor"


@pytest.mark.parametrize("has_relay", [False, True])
def test_a_half_close_is_held_until_the_peer_is_there(hosts, start, has_relay):
    waits = start(1)
    if has_relay:
        start(0)
    with hosts.dial(1) as near:
        near.sendall(b"anybody?")
        near.shutdown(socket.SHUT_WR)
        eventually(lambda: has_looked(waits), "a look at it")
        if not has_relay:
            start(0)
        with hosts.listen(0) as listener, accept(listener) as far:
            assert read_all(far) == b"anybody?"
            far.sendall(b"me")
        assert read_all(near) == b"me"
    idle(waits)


def test_an_engine_that_ends_one_direction_and_then_gives_up_is_not_connected(hosts, relays):
    with hosts.dial(1) as near:
        near.shutdown(socket.SHUT_WR)
        eventually(lambda: has_looked(relays[1]), "a look at it")
        assert relays[0].relay.connections == 1
    idle(*relays)


# Ends.


def test_a_link_that_breaks_resets_both_ends(joined, relays):
    near, _ = joined
    relays[0].call(relays[0].break_links)
    assert is_reset(near)
    eventually(lambda: relays[1].lines, "a line")
    assert "process 0 at" in relays[1].lines[0]
    assert "the connection broke" in relays[1].lines[0]


def test_a_drained_relay_goes_on_until_its_connections_have_ended(hosts, relays, joined):
    near, far = joined
    relays[1].drain()
    eventually(lambda: not relays[1].relay._doors, "no listeners")
    with pytest.raises(ConnectionRefusedError):
        dial(hosts.local(1))
    near.sendall(b"the last")
    near.close()
    assert read_all(far) == b"the last"
    far.close()
    relays[1].ended()


def test_relays_of_one_host_share_the_addresses_of_others(hosts, relays, listener, start):
    start(1, mesh=(hosts.meshes[1][0], 9001))
    relays[1].drain()
    relays[1].ended()
    for _ in range(5):
        with hosts.dial(1) as near, accept(listener) as far:
            near.sendall(b"x")
            assert far.recv(1) == b"x"
