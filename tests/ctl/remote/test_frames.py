import json
import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ctl.remote.frames import LIMIT, Decoder, encode

TEXT = st.text(max_size=20)
MESSAGES = st.dictionaries(TEXT, TEXT | st.integers() | st.none() | st.lists(TEXT), max_size=3)


@settings(deadline=None)
@given(st.lists(st.tuples(MESSAGES, st.binary(max_size=40))), st.data())
def test_messages_arrive_however_they_are_cut(messages, data):
    sent = b"".join(encode(*each) for each in messages)
    decoder, got = Decoder(), []
    while sent:
        count = data.draw(st.integers(1, len(sent)))
        got += decoder.feed(sent[:count])
        sent = sent[count:]
    assert got == messages


def test_text_that_is_not_unicode():
    assert next(Decoder().feed(encode({"value": "\udcff"}))) == ({"value": "\udcff"}, b"")


@pytest.mark.parametrize(
    "frame",
    [
        struct.pack(">II", LIMIT + 1, 0),
        struct.pack(">II", 2, LIMIT + 1),
        struct.pack(">II", 2, 0) + b"[]",
        struct.pack(">II", 2, 0) + b"{x",
        struct.pack(">II", 2, 0) + b"\xff\xff",
        b"-bash: python3: command not found\n",
    ],
)
def test_what_is_no_frame(frame):
    with pytest.raises(ValueError):  # noqa: PT011  # whatever is wrong, it is one error
        list(Decoder().feed(frame))


def test_nothing_is_expected_of_a_frame_that_is_not_whole():
    frame = encode({"a": 1}, b"data")
    decoder = Decoder()
    assert list(decoder.feed(frame[:-1])) == []
    assert list(decoder.feed(frame[-1:])) == [({"a": 1}, b"data")]
    assert json.loads(frame[8:15]) == {"a": 1}
