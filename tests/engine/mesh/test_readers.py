import pytest

from engine.mesh.frames import HEADER, PREAMBLE, FrameError, Kind, frame
from engine.mesh.hello import HELLO_LIMIT
from engine.mesh.readers import HandshakeReader, MessageReader


def feed(reader, data):
    """What the reader makes of bytes, and how many of them it takes until it makes something."""
    taken = 0
    while taken < len(data):
        buffer = reader.get_buffer()
        count = min(len(buffer), len(data) - taken)
        buffer[:count] = data[taken : taken + count]
        taken += count
        got = reader.received(count)
        if got is not None:
            return got, taken
    return None, taken


def test_a_handshake_takes_no_byte_beyond_its_frame():
    reader = HandshakeReader()
    data = PREAMBLE + frame(Kind.HELLO, b"x" * 10_000) + frame(Kind.ACCEPT) + b"later"
    got, taken = feed(reader, data)
    assert got == (Kind.HELLO, b"x" * 10_000)
    got, more = feed(reader, data[taken:])
    assert got == (Kind.ACCEPT, b"")
    assert data[taken + more :] == b"later"


@pytest.mark.parametrize(
    ("data", "complaint"),
    [
        (b"GET / HTTP/1.1\r\n", r"not a hostmesh peer \(it sent b'GET / HT'\)"),
        (b"HOSTMASH", "not a hostmesh peer"),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01", "it speaks TLS"),
        (PREAMBLE + HEADER.pack(Kind.DATA, 5), "type 7 before it was accepted"),
        (PREAMBLE + HEADER.pack(Kind.CONTROL, 5), "type 5 before it was accepted"),
        (PREAMBLE + HEADER.pack(0, 5), "type 0 before it was accepted"),
        (PREAMBLE + HEADER.pack(Kind.HELLO, 1 << 63), f"of {1 << 63} bytes, and {HELLO_LIMIT}"),
        (PREAMBLE + HEADER.pack(Kind.ACCEPT, 1), "of 1 bytes, and 0 are allowed"),
    ],
)
def test_what_may_not_come_in_a_handshake_is_named(data, complaint):
    with pytest.raises(FrameError, match=complaint):
        feed(HandshakeReader(), data)


def test_an_impostor_is_known_by_its_first_byte():
    with pytest.raises(FrameError):
        feed(HandshakeReader(), b"G")


def test_an_announced_length_alone_takes_no_memory():
    reader = HandshakeReader()
    feed(reader, PREAMBLE + HEADER.pack(Kind.HELLO, HELLO_LIMIT) + b"x")
    assert len(reader.get_buffer()) <= 4096


def test_a_long_message_is_received_into_memory_of_its_own():
    bodies = []
    reader = MessageReader({1: bodies.append}, 1 << 16)
    header = HEADER.pack(1, 1_000_000)
    reader.get_buffer()[: len(header)] = header
    reader.received(len(header), [])
    buffer = reader.get_buffer()
    assert len(buffer) == 1_000_000
    buffer[:] = b"y" * len(buffer)
    reader.received(len(buffer), [])
    assert bodies == [b"y" * 1_000_000]


def test_messages_before_a_wrong_one_are_kept():
    reader = MessageReader({Kind.HELLO: bytes}, 1 << 16)
    data = frame(Kind.HELLO, b"good") + frame(Kind.AUTH, b"bad")
    reader.get_buffer()[: len(data)] = data
    events = []
    with pytest.raises(FrameError, match="type 2, which may not come here"):
        reader.received(len(data), events)
    assert events == [b"good"]


def test_no_memory_is_set_aside_for_a_long_frame_that_may_not_come():
    reader = MessageReader({Kind.HELLO: bytes}, 1 << 16)
    data = HEADER.pack(2, 1 << 62)
    reader.get_buffer()[: len(data)] = data
    with pytest.raises(FrameError):
        reader.received(len(data), [])
