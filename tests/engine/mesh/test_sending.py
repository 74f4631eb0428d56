from hypothesis import given
from hypothesis import strategies as st

from engine.mesh.sending import SendQueue

PIECES = st.lists(st.integers(0, 40_000), max_size=30)


@given(PIECES, st.lists(st.integers(1, 100_000), max_size=40), st.booleans())
def test_bytes_come_out_as_they_went_in(sizes, steps, interleave):
    queue = SendQueue()
    pieces = [bytes([index % 256]) * size for index, size in enumerate(sizes)]
    steps = iter(steps)
    out = bytearray()

    def send_some():
        data = b"".join(queue.to_send())
        count = min(len(data), next(steps, len(data)))
        queue.sent(count)
        out.extend(data[:count])

    for piece in pieces:
        queue.append(piece)
        if interleave:
            send_some()
    while queue.pending:
        send_some()
    assert bytes(out) == b"".join(pieces)


def test_long_pieces_are_not_copied():
    queue = SendQueue()
    piece = memoryview(bytes(100_000))
    queue.append(b"head")
    queue.append(piece)
    assert queue.to_send()[1] is piece


def test_short_pieces_are_joined():
    queue = SendQueue()
    for _ in range(1000):
        queue.append(b"1234567890")
    assert len(queue.to_send()) == 1
    assert queue.pending == 10_000


def test_the_queue_can_grow_while_its_caller_holds_what_is_to_be_sent():
    queue = SendQueue()
    queue.append(b"one")
    held = [memoryview(buffer) for buffer in queue.to_send()]
    queue.append(b"two")
    assert bytes(held[0]) == b"one"
    assert b"".join(queue.to_send()) == b"onetwo"


def test_no_more_buffers_at_once_than_the_system_takes():
    queue = SendQueue()
    for _ in range(2000):
        queue.append(bytes(20_000))
    assert len(queue.to_send()) <= 1024
