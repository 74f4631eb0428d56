import socket

import pytest

from engine.mesh.frames import Kind, frame
from engine.mesh.protocol import Closed, Established
from engine.mesh.transport import READ_AT_ONCE, Transport
from engine.messages import Barrier, Channel, Encoded, EndOfInput
from tests.engine.mesh.conversation import Conversation
from tests.engine.mesh.nodes import until

CHANNEL = Channel(0, 0, 1)


@pytest.fixture
def ends():
    """Two ends of an established data connection, with their transports."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        dialer = Transport(socket.create_connection(server.getsockname()))
        acceptor = Transport(server.accept()[0])
    conversation = Conversation("data").run()
    yield (dialer, conversation.dialer), (acceptor, conversation.acceptor)
    dialer.close()
    acceptor.close()


def test_nothing_to_read_is_no_event(ends):
    (transport, connection), _ = ends
    assert transport.read(connection, 0.0) == []
    assert transport.flush(connection)


def test_much_data_crosses_in_order(ends):
    (sender, sending), (receiver, receiving) = ends
    batch = Encoded(CHANNEL, b"p", [memoryview(bytes(3_000_000)), memoryview(b"x" * 10)])
    for epoch in range(10):
        sending.send(batch)
        sending.send(Barrier(CHANNEL, epoch))
    assert not sender.flush(sending)
    assert sender.wants_write(sending)
    got = []

    def move():
        sender.flush(sending)
        got.extend(receiver.read(receiving, 0.0))
        return len(got) == 20

    until(move)
    assert [event.epoch for event in got if isinstance(event, Barrier)] == list(range(10))
    assert all(bytes(event.buffers[1]) == b"x" * 10 for event in got[::2])
    assert not sender.wants_write(sending)


def test_one_read_takes_a_bounded_amount(ends):
    (sender, sending), (receiver, receiving) = ends
    batch = Encoded(CHANNEL, bytes(100_000), ())
    for _ in range(100):
        sending.send(batch)
    taken = 0
    while taken < 100:
        sender.flush(sending)
        got = receiver.read(receiving, 0.0)
        assert len(got) <= 2 * READ_AT_ONCE // 100_000
        taken += len(got)


def test_a_handshake_leaves_messages_to_those_who_come_after():
    with socket.create_server(("127.0.0.1", 0)) as server:
        near = socket.create_connection(server.getsockname())
        transport = Transport(server.accept()[0])
    conversation = Conversation("data")
    acceptor = conversation.acceptor
    conversation.dialer.sent(near.send(b"".join(conversation.dialer.to_send())))
    until(lambda: transport.read(acceptor, 0.0) or acceptor.pending)
    transport.flush(acceptor)
    conversation.dialer.send(EndOfInput(CHANNEL))  # any bytes: they come along with what accepts
    barrier = b"".join(conversation.dialer.to_send())
    conversation.dialer.sent(len(barrier))
    near.sendall(frame(Kind.ACCEPT) + barrier)
    events = until(lambda: transport.read(acceptor, 0.0))
    assert [type(event) for event in events] == [Established]
    assert len(until(lambda: transport.read(acceptor, 0.0))) == 1
    near.close()
    transport.close()


def test_a_closed_peer_is_reported_once(ends):
    (transport, connection), (other, _) = ends
    other.close()
    events = until(lambda: transport.read(connection, 0.0))
    assert events == [Closed("connection closed")]
    assert transport.read(connection, 0.0) == []


def test_what_was_sent_before_closing_is_read_first(ends):
    (sender, sending), (receiver, receiving) = ends
    sending.send(Barrier(CHANNEL, 1))
    sender.flush(sending)
    sender.close()
    got = []

    def closed():
        got.extend(receiver.read(receiving, 0.0))
        return len(got) == 2

    until(closed)
    assert got == [Barrier(CHANNEL, 1), Closed("connection closed")]


def test_sending_to_a_closed_peer_is_reported_by_reading(ends):
    (transport, connection), (other, _) = ends
    other.close()

    def broken():
        connection.send(Encoded(CHANNEL, bytes(100_000), ()))
        return not transport.flush(connection) and not transport.wants_write(connection)

    until(broken)
    assert isinstance(until(lambda: transport.read(connection, 0.0))[0], Closed)
