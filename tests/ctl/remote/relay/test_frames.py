from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ctl.remote.relay.frames import (
    HEADER_BYTES,
    LONGEST_DATA,
    Decoder,
    FrameError,
    Word,
    word,
    write_header,
)


def frame(data):
    buffer = bytearray(HEADER_BYTES) + data
    write_header(memoryview(buffer), len(data))
    return bytes(buffer)


def joined(pieces):
    """Data that follows on data as one."""
    found: list[Any] = []
    for piece in pieces:
        if isinstance(piece, Word):
            found.append(piece)
        elif found and not isinstance(found[-1], Word):
            found[-1] += bytes(piece)
        else:
            found.append(bytes(piece))
    return found


@given(
    st.lists(st.sampled_from(Word) | st.binary(min_size=1, max_size=20)),
    st.lists(st.integers(1, 9)),
)
def test_frames_are_the_same_however_they_were_cut(said, cuts):
    data = b"".join(word(each) if isinstance(each, Word) else frame(each) for each in said)
    decoder = Decoder()
    found: list[Any] = []
    for size in [*cuts, len(data)]:
        piece, data = data[:size], data[size:]
        # Pieces are parts of a buffer that is used again.
        found += [
            each if isinstance(each, Word) else bytes(each)
            for each in decoder.feed(memoryview(piece))
        ]
    assert joined(found) == joined(said)


def test_data_is_not_copied():
    buffer = memoryview(bytearray(frame(b"data")))
    (piece,) = Decoder().feed(buffer)
    assert isinstance(piece, memoryview)
    assert piece.obj is buffer.obj


@pytest.mark.parametrize("value", [LONGEST_DATA + 1, 0xFFFFFF00, 0xFFFFFFFF])
def test_what_begins_no_frame_is_refused(value):
    with pytest.raises(FrameError):
        list(Decoder().feed(memoryview(value.to_bytes(4, "big"))))
