import os
import socket
import time

import pytest

from engine.errors import AuthenticationError, HelloMismatchError, PeerUnavailableError
from engine.mesh.control import Message, PeerLost
from engine.mesh.events import MISMATCH, TRY_AGAIN, ControlMessage, Established, Rejected
from engine.mesh.frames import HEADER, PREAMBLE, Kind
from engine.mesh.hello import Fingerprint
from engine.messages import Barrier, Channel
from tests.engine.mesh.nodes import address_of, until

SECRETS = [None, b"secret"]
CHANNEL = Channel(0, 0, 1)


@pytest.mark.parametrize("secret", SECRETS)
@pytest.mark.parametrize("count", [1, 2, 3])
def test_all_processes_are_connected(cluster, count, secret):
    nodes = cluster.nodes(count, secret=secret)
    for node in nodes:
        others = {other.hello.process for other in nodes if other is not node}
        assert set(node.assembled()) == others
    for node in nodes:
        node.mesh.broadcast({"from": node.hello.process})
    for node in nodes:
        got = [node.next(Message) for _ in range(count - 1)]
        assert {event.process for event in got} == set(node.links)
        assert all(event.message == {"from": event.process} for event in got)


def test_data_links_carry_messages(cluster):
    one, other = cluster.nodes(2)
    one.assembled()
    other.assembled()
    sender, receiver = one.links[1], other.links[0]
    sender.connection.send(Barrier(CHANNEL, 7))
    assert sender.transport.flush(sender.connection)
    got = until(lambda: receiver.transport.read(receiver.connection, time.monotonic()))
    assert got == [Barrier(CHANNEL, 7)]


def test_a_message_goes_to_one_peer(cluster):
    nodes = cluster.nodes(3)
    for node in nodes:
        node.assembled()
    nodes[0].mesh.send(2, {"n": 1})
    nodes[0].mesh.broadcast({"n": 2})
    assert nodes[1].next(Message) == Message(0, {"n": 2})
    assert nodes[2].next(Message) == Message(0, {"n": 1})


def test_a_process_may_come_late(cluster):
    listeners = [cluster.listener(), cluster.listener()]
    addresses = [address_of(listener) for listener in listeners]
    first = cluster.node(listeners[1], addresses, 1)
    second = cluster.node(listeners[0], addresses, 0)
    first.assembled()
    second.assembled()


def test_leaving_in_order_is_no_loss(cluster):
    one, other = cluster.nodes(2)
    one.assembled()
    other.assembled()
    other.mesh.send(0, {"last": "words"})
    other.mesh.close()
    assert one.next(Message) == Message(1, {"last": "words"})
    assert one.next(Message) == Message(1, {"type": "bye"})
    one.mesh.close()
    assert one.events.empty()


def test_closing_takes_no_longer_than_peers_need(cluster):
    nodes = cluster.nodes(3)
    for node in nodes:
        node.assembled()
    began = time.monotonic()
    for node in nodes:
        node.mesh.close(limit=60.0)
    assert time.monotonic() - began < 10


def test_closing_does_not_wait_for_a_frozen_peer(cluster):
    node, puppets = node_with_puppets(cluster)
    node.mesh.broadcast({"x": "y" * 1_000_000})
    node.mesh.close(limit=0.2)
    assert not puppets["control"].connection.pending


def test_messages_sent_before_closing_arrive(cluster):
    one, other = cluster.nodes(2)
    one.assembled()
    other.assembled()
    big = {"x": "y" * 3_000_000}
    one.mesh.broadcast(big)
    one.mesh.close(limit=20.0)
    assert other.next(Message).message == big


# Missing peers.


def missing(cluster, lines, address, reason, *, process=1):
    """The other of two processes is not there: it is named with the reason, then given up."""
    listener = cluster.listener()
    addresses = [address_of(listener)]
    addresses.insert(process, address)
    own = 1 - process
    node = cluster.node(listener, addresses, own, assemble_timeout=2.0)
    lines.wait(f"waiting for 1 of 1 peers: process {process} at {address}", reason)
    error = node.failed()
    assert isinstance(error, PeerUnavailableError)
    assert reason in error.missing[process]
    assert f"gave up after 2 s waiting for process {process} at {address}" in str(error)
    assert reason in str(error)


@pytest.mark.parametrize("process", [0, 1])
def test_a_peer_that_refuses_is_named(cluster, lines, process):
    missing(cluster, lines, cluster.refusing(), "refused", process=process)


@pytest.mark.parametrize("process", [0, 1])
def test_a_peer_that_does_not_answer_is_named(cluster, lines, process):
    full = socket.socket()
    full.bind(("127.0.0.1", 0))
    full.listen(0)
    # The system drops further requests to connect once this queue is full.
    fillers = [socket.socket() for _ in range(4)]
    for filler in fillers:
        filler.setblocking(False)
        filler.connect_ex(full.getsockname())
    try:
        missing(cluster, lines, address_of(full), "timed out", process=process)
    finally:
        for sock in (full, *fillers):
            sock.close()


def test_a_peer_whose_name_is_not_known_is_named(cluster, lines, monkeypatch):
    find = socket.getaddrinfo

    def find_none(host, *args, **kw):
        if host == "localhost":
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return find(host, *args, **kw)

    monkeypatch.setattr(socket, "getaddrinfo", find_none)
    address = cluster.refusing()._replace(host="localhost")
    missing(cluster, lines, address, "name not known", process=0)


def test_a_peer_that_accepts_and_says_nothing_is_named(cluster, lines):
    silent = cluster.listener()
    missing(cluster, lines, address_of(silent), "said nothing for 1 s", process=0)


def test_a_peer_that_is_another_program_is_named(cluster, lines):
    with socket.create_server(("127.0.0.1", 0)) as server:
        listener = cluster.listener()
        addresses = [address_of(server), address_of(listener)]
        cluster.node(listener, addresses, 1)
        client, _ = server.accept()
        client.sendall(b"220 mail.example ESMTP\r\n")
        lines.wait("process 0", "not a hostmesh peer (it sent b'220 mail')")
        client.close()


def test_a_peer_that_is_not_heard_from_is_named_first(cluster, lines):
    listener = cluster.listener()
    cluster.node(listener, [address_of(listener), cluster.refusing()], 1 - 1)
    assert "not heard from yet" in lines.wait("waiting for 1 of 1 peers: process 1")


def test_only_those_that_are_missing_are_named(cluster, lines):
    listeners = [cluster.listener(), cluster.listener()]
    addresses = [*map(address_of, listeners), cluster.refusing()]
    for process, listener in enumerate(listeners):
        cluster.node(listener, addresses, process)
    line = lines.wait("waiting for 1 of 2 peers: process 2", "refused")
    assert "process 1" not in line


def test_a_peer_that_leaves_during_assembly_may_come_back(cluster, lines):
    listeners = [cluster.listener() for _ in range(3)]
    addresses = [address_of(listener) for listener in listeners]
    stays = cluster.node(listeners[0], addresses, 0)
    leaves = cluster.node(listeners[1].dup(), addresses, 1)
    lines.wait("connected to process 1")
    leaves.mesh.close()
    assert stays.next(Message).message == {"type": "bye"}
    lines.wait("lost process 1", "it has left again")
    back = cluster.node(listeners[1], addresses, 1)
    last = cluster.node(listeners[2], addresses, 2)
    for node in (stays, back, last):
        node.assembled()


# Processes that do not fit.


@pytest.mark.parametrize(
    ("changes", "each", "sentence"),
    [
        ({}, {1: {"workers": 2}}, "workers per process differ: process 0 has 1, process 1 has 2"),
        ({1: {"engine": "9"}}, {}, "engine versions differ: process 0 has '0.1.0', process 1 has"),
        ({0: {"python": "2.7"}}, {}, "Python versions differ: process 0 has '2.7', process 1 has"),
        ({1: {"store": "s3"}}, {}, "recovery stores differ: process 0 has none, process 1 has"),
        (
            {1: {"fingerprint": Fingerprint("cd", (("f.s", "2"),))}},
            {},
            "dataflows differ: process 0 has 'ab', process 1 has 'cd'; "
            "the first step that differs is 'f.s'",
        ),
    ],
)
@pytest.mark.parametrize("secret", SECRETS)
def test_both_sides_name_what_differs(cluster, changes, each, sentence, secret):
    for node in cluster.nodes(2, changes, each, secret=secret):
        error = node.failed()
        assert isinstance(error, HelloMismatchError)
        assert sentence in str(error)


def test_lists_of_two_and_three_addresses(cluster):
    listeners = [cluster.listener(), cluster.listener()]
    addresses = [address_of(listener) for listener in listeners]
    short = cluster.node(listeners[0], addresses, 0)
    long = cluster.node(listeners[1], [*addresses, cluster.refusing()], 1)
    sentence = "address lists differ: process 0 has 2 addresses, process 1 has 3 addresses"
    for node in (short, long):
        assert sentence in str(node.failed())


def test_the_address_of_process_0_differs(cluster):
    listeners = [cluster.listener(), cluster.listener()]
    addresses = [address_of(listener) for listener in listeners]
    elsewhere = cluster.refusing()
    nodes = (
        cluster.node(listeners[0], addresses, 0),
        cluster.node(listeners[1], [elsewhere, addresses[1]], 1),
    )
    sentence = (
        f"addresses of process 0 differ: process 0 has '{addresses[0]}', "
        f"process 1 has '{elsewhere}'"
    )
    for node in nodes:
        assert sentence in str(node.failed())


def test_two_addresses_are_swapped(cluster):
    listeners = [cluster.listener() for _ in range(3)]
    a, b, c = (address_of(listener) for listener in listeners)
    zero = cluster.node(listeners[0], [a, b, c], 0)
    two = cluster.node(listeners[2], [b, a, c], 2)
    for node in (zero, two):
        assert "where process 2 expects process 1, process 0 answers" in str(node.failed()) or (
            "addresses of process 0 differ" in str(node.failed())
        )


@pytest.mark.parametrize("running", [False, True])
def test_an_id_that_is_taken(cluster, lines, running):
    """The newcomer fails; who was there first goes on."""
    listeners = [cluster.listener() for _ in range(3)]
    addresses = [address_of(listener) for listener in listeners]
    count = 3 if running else 2
    nodes = [cluster.node(listeners[index], addresses, index) for index in range(count)]
    if running:
        for node in nodes:
            node.assembled()
    else:
        lines.wait("connected to process 1")
    elsewhere = cluster.listener()
    # With the list of the others: the third process, too, may hear of it before it fails.
    newcomer = cluster.node(elsewhere, addresses, 1)
    error = newcomer.failed()
    assert isinstance(error, HelloMismatchError)
    assert f"process id 1 is already taken by process 1 (host {nodes[1].hello.host!r}" in str(error)
    lines.wait("rejected connection from 127.0.0.1", "process id 1 is already taken")
    if not running:
        nodes.append(cluster.node(listeners[2], addresses, 2))
        for node in nodes:
            node.assembled()


def test_a_newcomer_with_the_id_of_its_peer(cluster, lines):
    zero, one = cluster.nodes(2)
    zero.assembled()
    one.assembled()
    puppet = cluster.puppet(zero, 0, "control")
    event = puppet.event()
    assert (event.code, event.by_peer) == (MISMATCH, True)
    assert "process id 0 is already taken by process 0" in event.reasons[0]


def test_a_lower_process_does_not_dial(cluster, lines):
    listener = cluster.listener()
    one = cluster.node(listener, [cluster.refusing(), address_of(listener)], 1)
    event = cluster.puppet(one, 0, "control").event()
    assert event == Rejected(MISMATCH, ("process 0 should not dial process 1",), by_peer=True)


# Strangers.


def http(sock):
    sock.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")


def random_bytes(sock):
    sock.sendall(b"\x00" + os.urandom(5000))


def giant_length(sock):
    sock.sendall(PREAMBLE + HEADER.pack(Kind.HELLO, 1 << 62) + b"x" * 1000)


def pickle_at_once(sock):
    sock.sendall(PREAMBLE + HEADER.pack(Kind.DATA, 100) + b"x" * 100)


def nothing(sock):
    pass


def trickle(sock):
    sock.sendall(PREAMBLE[:3])


def closes(sock):
    sock.close()


STRANGERS = [
    (http, "not a hostmesh peer (it sent b'GET / HT')"),
    (random_bytes, "not a hostmesh peer"),
    (giant_length, f"it announced a HELLO of {1 << 62} bytes"),
    (pickle_at_once, "it sent a frame of type 7 before it was accepted"),
    (nothing, "it said nothing for 1 s"),
    (trickle, "its handshake was not done after 1 s"),
    (closes, "connection closed before it said anything"),
]


@pytest.mark.parametrize(("behave", "line"), STRANGERS)
@pytest.mark.parametrize("running", [False, True])
def test_a_stranger_costs_one_line(cluster, lines, behave, line, running):
    listeners = [cluster.listener(), cluster.listener()]
    addresses = [address_of(listener) for listener in listeners]
    nodes = [cluster.node(listeners[0], addresses, 0)]
    if running:
        nodes.append(cluster.node(listeners[1], addresses, 1))
    for node in nodes if running else ():
        node.assembled()
    stranger = cluster.connect(addresses[0])
    where = address_of(stranger)
    behave(stranger)
    lines.wait(f"rejected connection from {where}: {line}")
    if not running:
        nodes.append(cluster.node(listeners[1], addresses, 1))
        for node in nodes:
            node.assembled()
    nodes[0].mesh.broadcast({"still": "there"})
    assert nodes[1].next(Message).message == {"still": "there"}
    assert len(lines.having(str(where))) == 1


@pytest.mark.parametrize("running", [False, True])
@pytest.mark.parametrize("count", [200, 300])
def test_silent_connections_keep_no_peer_out(cluster, lines, running, count):
    listeners = [cluster.listener(), cluster.listener()]
    addresses = [address_of(listener) for listener in listeners]
    nodes = [cluster.node(listeners[0], addresses, 0)]
    if running:
        nodes.append(cluster.node(listeners[1], addresses, 1))
        for node in nodes:
            node.assembled()
    strangers = [cluster.connect(addresses[0]) for _ in range(count)]
    if not running:
        nodes.append(cluster.node(listeners[1], addresses, 1))
        for node in nodes:
            node.assembled()
    nodes[0].mesh.broadcast({"still": "there"})
    assert nodes[1].next(Message).message == {"still": "there"}
    lines.wait("turned away")
    for stranger in strangers:
        assert stranger.recv(100) == b""
    until(lambda: turned_away(lines) >= count)


def turned_away(lines):
    """Connections that log lines account for."""
    counts = [line.split()[0] for line in lines.having("turned away")]
    return len(lines.having("rejected connection")) + sum(map(int, counts))


def test_a_flood_of_strangers_takes_few_lines(cluster, lines):
    listener = cluster.listener()
    cluster.node(listener, [address_of(listener), cluster.refusing()], 0)
    for _ in range(100):
        http(cluster.connect(address_of(listener)))
    until(lambda: turned_away(lines) == 100)
    assert len(lines.having("rejected connection")) < 100


# Secrets.


def test_a_wrong_secret_is_refused_and_both_say_so(cluster, lines):
    zero, one = cluster.nodes(2, each={0: {"secret": b"right"}, 1: {"secret": b"wrong"}})
    error = one.failed()
    assert isinstance(error, AuthenticationError)
    assert "the secrets of process 0 and process 1 differ" in str(error)
    lines.wait("rejected connection from", "the secrets of process 0 and process 1 differ")
    assert zero.events.empty()


@pytest.mark.parametrize("having", [0, 1])
def test_a_secret_on_one_side_only_is_refused_and_both_say_so(cluster, lines, having):
    zero, one = cluster.nodes(2, each={having: {"secret": b"right"}})
    sentence = f"process {having} has a secret, process {1 - having} has none"
    error = one.failed()
    assert isinstance(error, AuthenticationError)
    assert sentence in str(error)
    lines.wait("rejected connection from", sentence)
    assert zero.events.empty()


def test_a_stranger_without_the_secret_cannot_end_an_assembly(cluster, lines):
    listeners = [cluster.listener(), cluster.listener()]
    addresses = [address_of(listener) for listener in listeners]
    zero = cluster.node(listeners[0], addresses, 0, secret=b"right")
    puppet = cluster.puppet(zero, 1, "control", workers=99)
    puppet.connection._handshake._secret = b"wrong"
    assert puppet.event().code == AuthenticationError.exit_code
    one = cluster.node(listeners[1], addresses, 1, secret=b"right")
    zero.assembled()
    one.assembled()


# Losing peers.


def node_with_puppets(cluster, **settings):
    """Process 0 of a cluster whose process 1 is played by the test."""
    listener = cluster.listener()
    node = cluster.node(listener, [address_of(listener), cluster.refusing()], 0, **settings)
    puppets = {purpose: cluster.puppet(node, 1, purpose) for purpose in ("control", "data")}
    for puppet in puppets.values():
        assert isinstance(puppet.event(), Established)
        until(lambda puppet=puppet: puppet.transport.flush(puppet.connection))
    node.assembled()
    return node, puppets


def test_a_killed_peer_is_reported_at_once(cluster):
    node, puppets = node_with_puppets(cluster)
    puppets["control"].transport.close()
    lost = node.next(PeerLost, seconds=1.0)
    assert (lost.process, lost.address) == (1, str(node.settings.addresses[1]))
    assert lost.reason.startswith("connection closed")
    assert lost.reason.endswith(": its process died or was killed")


def test_a_frozen_peer_is_reported_at_the_limit(cluster):
    node, _ = node_with_puppets(cluster, heartbeat_timeout=0.5)
    began = time.monotonic()
    lost = node.next(PeerLost)
    assert lost.reason == (
        "no heartbeat for 0.5 s: it is frozen or cut off, or C code there holds the GIL"
    )
    assert time.monotonic() - began < 5


def test_a_peer_that_sends_heartbeats_is_not_lost(cluster):
    node, puppets = node_with_puppets(cluster, heartbeat_timeout=0.5)
    puppet = puppets["control"]
    end = time.monotonic() + 1.5
    while time.monotonic() < end:
        puppet.connection.send_control({"n": 1})
        puppet.step()
        assert node.next(Message).message == {"n": 1}
    assert node.events.empty()


def test_a_peer_that_breaks_the_protocol_is_reported(cluster):
    node, puppets = node_with_puppets(cluster)
    puppets["control"].transport._sock.send(HEADER.pack(99, 0))
    assert node.next(PeerLost).reason == "it sent a frame of type 99, which may not come here"


def test_nobody_takes_the_place_of_a_lost_peer(cluster):
    node, puppets = node_with_puppets(cluster)
    puppets["control"].transport.close()
    node.next(PeerLost)
    event = cluster.puppet(node, 1, "control").event()
    assert (event.code, event.by_peer) == (TRY_AGAIN, True)


def test_messages_can_be_sent_after_a_failure(cluster):
    """So that peers which are connected already hear of its cause."""
    listener = cluster.listener()
    addresses = [address_of(listener), cluster.refusing(), cluster.refusing()]
    node = cluster.node(listener, addresses, 0)
    friend = cluster.puppet(node, 1, "control")
    assert isinstance(friend.event(), Established)
    until(lambda: friend.transport.flush(friend.connection))
    foe = cluster.puppet(node, 2, "control", workers=99)
    assert isinstance(foe.event(), Rejected)
    assert isinstance(node.failed(), HelloMismatchError)
    node.mesh.broadcast({"type": "ending"})
    assert friend.event() == ControlMessage({"type": "ending"})


def test_links_of_an_assembled_mesh_do_not_mix_with_a_second_process(cluster):
    """Control and data connections of a peer come from one and the same process."""
    listener = cluster.listener()
    node = cluster.node(listener, [address_of(listener), cluster.refusing()], 0)
    first = cluster.puppet(node, 1, "control", instance="first")
    assert isinstance(first.event(), Established)
    second = cluster.puppet(node, 1, "data", instance="second")
    event = second.event()
    assert (event.code, event.by_peer) == (MISMATCH, True)
    assert "process id 1 is already taken" in event.reasons[0]


def test_a_broken_control_thread_is_reported(cluster, monkeypatch, lines):
    (node,) = cluster.nodes(1)
    node.assembled()
    node.mesh.send(0, {})
    monkeypatch.setattr(node.mesh._membership, "broadcast", lambda _: 1 / 0)
    node.mesh.broadcast({})
    error = node.failed()
    assert error.exit_code == 1
    assert isinstance(error.__cause__, ZeroDivisionError)
    assert node.events.empty()


def test_what_a_mesh_holds_is_closed_even_if_it_never_starts(cluster):
    listener = cluster.listener()
    (node,) = cluster.nodes(1)
    mesh = type(node.mesh)(node.settings, node.hello, listener, node.events.put)
    mesh.close()
    assert listener.fileno() == -1
