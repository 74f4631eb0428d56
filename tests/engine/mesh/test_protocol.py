import math
import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.mesh.events import MISMATCH, TRY_AGAIN, UNAUTHORISED
from engine.mesh.frames import HEADER, PREAMBLE, Kind, frame, json_frame
from engine.mesh.hello import Hello
from engine.mesh.protocol import (
    Closed,
    Connection,
    ControlMessage,
    Established,
    ProtocolError,
    Refusal,
    Rejected,
    Silent,
)
from engine.messages import Barrier, Channel, Credit, Encoded, EndOfInput
from tests.engine.mesh.conversation import Conversation, feed, hello, take

SECRETS = [(None, None), (b"secret", b"secret")]
CHANNEL = Channel(1, 2, 3)


def established(purpose="control", **kw):
    conversation = Conversation(purpose, **kw).run()
    conversation.clear()
    return conversation


@pytest.mark.parametrize("secrets", SECRETS)
@pytest.mark.parametrize("purpose", ["control", "data", "probe"])
def test_two_that_fit_are_established(purpose, secrets):
    conversation = Conversation(purpose, secrets=secrets).run()
    [[at_dialer], [at_acceptor]] = conversation.events
    assert (at_dialer.peer.process, at_acceptor.peer.process) == (0, 1)
    assert at_dialer.peer.purpose == at_acceptor.peer.purpose == purpose
    assert conversation.dialer.established
    assert conversation.acceptor.established


def test_an_acceptor_says_nothing_to_those_who_say_nothing():
    connection = Connection(hello(), dialer=False, secret=None, now=0.0)
    feed(connection, PREAMBLE)
    assert connection.pending == 0


def test_an_acceptor_proves_nothing_to_those_who_prove_nothing():
    conversation = Conversation(secrets=(b"secret", b"secret"))
    feed(conversation.acceptor, take(conversation.dialer))
    said = take(conversation.acceptor)
    assert said.startswith(PREAMBLE)
    kind, length = HEADER.unpack_from(said, len(PREAMBLE))
    assert kind == Kind.HELLO
    assert len(said) == len(PREAMBLE) + HEADER.size + length


def test_different_secrets_are_refused_and_both_say_so():
    conversation = Conversation(secrets=(b"one", b"other")).run()
    reasons = ("the secrets of process 0 and process 1 differ",)
    assert conversation.dialer_events == [Rejected(UNAUTHORISED, reasons, by_peer=True)]
    assert conversation.acceptor_events == [Rejected(UNAUTHORISED, reasons, by_peer=False)]


@pytest.mark.parametrize("secrets", [(b"one", None), (None, b"one")])
def test_a_secret_on_one_side_only_is_refused_and_both_say_so(secrets):
    conversation = Conversation(secrets=secrets).run()
    having, lacking = (1, 0) if secrets[0] else (0, 1)
    reasons = (f"process {having} has a secret, process {lacking} has none",)
    for events in conversation.events:
        assert [(e.code, e.reasons) for e in events] == [(UNAUTHORISED, reasons)]


def test_a_proof_cannot_be_sent_back_to_its_maker():
    dialer = Connection(hello(1, to=0), dialer=True, secret=b"secret", now=0.0)
    take(dialer)
    thief = hello(0).for_connection("hmac").encode()
    feed(dialer, PREAMBLE + frame(Kind.HELLO, thief))
    [event] = feed(dialer, take(dialer))
    assert event == Rejected(
        UNAUTHORISED, ("the secrets of process 0 and process 1 differ",), by_peer=False
    )


def test_authentication_is_judged_before_differences():
    conversation = Conversation(acceptor=hello(0, workers=2), secrets=(b"one", b"other")).run()
    for events in conversation.events:
        assert [event.code for event in events] == [UNAUTHORISED]


@pytest.mark.parametrize("secrets", SECRETS)
def test_processes_that_differ_are_refused_and_both_say_the_same(secrets):
    conversation = Conversation(acceptor=hello(0, workers=2), secrets=secrets).run()
    reasons = ("workers per process differ: process 0 has 2, process 1 has 1",)
    assert conversation.dialer_events == [Rejected(MISMATCH, reasons, by_peer=True)]
    assert conversation.acceptor_events == [Rejected(MISMATCH, reasons, by_peer=False)]


def test_the_dialer_judges_too():
    """Say, an acceptor of another version that does not look at workers."""
    conversation = Conversation()
    feed(conversation.acceptor, take(conversation.dialer))
    other = hello(0, workers=2).for_connection("none").encode()
    said = PREAMBLE + frame(Kind.HELLO, other) + frame(Kind.ACCEPT)
    reasons = ("workers per process differ: process 0 has 2, process 1 has 1",)
    assert feed(conversation.dialer, said) == [Rejected(MISMATCH, reasons, by_peer=False)]
    [event] = feed(conversation.acceptor, take(conversation.dialer))
    assert event == Rejected(MISMATCH, reasons, by_peer=True)


@pytest.mark.parametrize("secrets", SECRETS)
def test_who_is_there_already_can_refuse_a_newcomer(secrets):
    refusal = Refusal(TRY_AGAIN, "come back later")
    refuse = {0: lambda _: None, 1: lambda _: refusal}
    conversation = Conversation(secrets=secrets, refuse=lambda peer: refuse[peer.process](peer))
    conversation.run()
    reasons = ("come back later",)
    assert conversation.dialer_events == [Rejected(TRY_AGAIN, reasons, by_peer=True)]
    assert conversation.acceptor_events == [Rejected(TRY_AGAIN, reasons, by_peer=False)]


def test_a_stranger_is_not_asked_about_before_it_has_proved_itself():
    asked = []
    Conversation(secrets=(b"one", b"other"), refuse=asked.append).run()
    assert asked == []


def test_a_certificate_has_to_be_that_of_the_process():
    conversation = Conversation()
    conversation.dialer.certify(frozenset({0}))
    conversation.acceptor.certify(frozenset({2}))
    conversation.run()
    reasons = ("process 1 has a certificate for process 2",)
    assert conversation.acceptor_events == [Rejected(UNAUTHORISED, reasons, by_peer=False)]
    assert Rejected(UNAUTHORISED, reasons, by_peer=True) in conversation.dialer_events


def test_a_certificate_that_names_no_process_is_refused():
    conversation = Conversation()
    conversation.acceptor.certify(frozenset())
    [event] = conversation.run().acceptor_events
    assert event.reasons == ("process 1 has a certificate for process none",)


def test_reasons_of_a_peer_are_made_fit_for_a_log():
    dialer = Connection(hello(1, to=0), dialer=True, secret=None, now=0.0)
    rejection = {"code": 77, "reasons": ["a\nb\x1b[31m" + "x" * 9999, 3]}
    [event] = feed(dialer, PREAMBLE + json_frame(Kind.REJECT, rejection))
    assert event.reasons[0].startswith("a?b?[31mxxx")
    assert len(event.reasons[0]) == 1000
    assert event.reasons[1] == "3"


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b'{"code": "x", "reasons": []}', b"\xff"])
def test_a_rejection_that_makes_no_sense(body):
    dialer = Connection(hello(1, to=0), dialer=True, secret=None, now=0.0)
    [event] = feed(dialer, PREAMBLE + frame(Kind.REJECT, body))
    assert isinstance(event, ProtocolError)


@pytest.mark.parametrize("kind", [kind for kind in Kind if kind is not Kind.REJECT])
@pytest.mark.parametrize("said", ["nothing", "hello", "auth"])
def test_frames_out_of_turn_are_errors(kind, said):
    """Above all, no message is looked at before both have accepted."""
    conversation = Conversation(secrets=(b"s", b"s"))
    due = {"nothing": Kind.HELLO, "hello": Kind.AUTH, "auth": Kind.ACCEPT}[said]
    opening = PREAMBLE
    if said != "nothing":
        feed(conversation.acceptor, take(conversation.dialer))
        opening = b""
    if said == "auth":
        feed(conversation.dialer, take(conversation.acceptor))
        feed(conversation.acceptor, take(conversation.dialer))
    if kind is due:
        return
    bomb = pickle.dumps(pytest.fail)
    [event] = feed(conversation.acceptor, opening + frame(kind, bomb if kind > 4 else b""))
    assert isinstance(event, ProtocolError)
    assert not conversation.acceptor.established


def test_a_closed_connection_takes_no_notice_of_more():
    connection = Connection(hello(), dialer=False, secret=None, now=0.0)
    assert len(feed(connection, b"GET / HTTP/1.1\r\n\r\n")) == 1
    assert connection.closed() == []
    assert connection.tick(1e9) == []
    assert connection.next_tick() == math.inf


@given(st.binary(min_size=1, max_size=200), st.booleans())
def test_random_bytes_never_raise(data, greeted):
    connection = Connection(hello(), dialer=False, secret=b"s", now=0.0)
    events = feed(connection, PREAMBLE * greeted + data)
    assert len(events) <= 1


@given(st.dictionaries(st.text(), st.text() | st.integers() | st.lists(st.text())))
def test_random_hellos_never_raise(fields):
    connection = Connection(hello(), dialer=False, secret=None, now=0.0)
    [event] = feed(connection, PREAMBLE + json_frame(Kind.HELLO, fields))
    assert isinstance(event, ProtocolError)


@given(st.lists(st.integers(1, 300), max_size=60), st.sampled_from(SECRETS))
def test_a_handshake_may_be_cut_anywhere(sizes, secrets):
    whole = iter(sizes)
    conversation = Conversation(secrets=secrets)
    events = []
    while conversation.dialer.pending or conversation.acceptor.pending:
        events += feed(conversation.acceptor, take(conversation.dialer), sizes=whole)
        events += feed(conversation.dialer, take(conversation.acceptor), sizes=whole)
    assert [type(event) for event in events] == [Established, Established]


MESSAGES = st.one_of(
    st.builds(Barrier, st.just(CHANNEL), st.integers(0, 2**64 - 1)),
    st.builds(Credit, st.just(CHANNEL), st.integers(0, 2**64 - 1)),
    st.just(EndOfInput(CHANNEL)),
    st.builds(
        lambda size, sizes, grouped: Encoded(
            CHANNEL,
            bytes([size % 256]) * size,
            [memoryview(bytes([each % 256]) * each) for each in sizes],
            grouped,
        ),
        st.integers(0, 200_000),
        st.lists(st.integers(0, 90_000), max_size=3),
        st.booleans(),
    ),
)


def plain(message):
    """The same, so that it can be compared."""
    if isinstance(message, Encoded):
        buffers = [bytes(buffer) for buffer in message.buffers]
        return message.channel, bytes(message.pickled), buffers, message.grouped
    return message


@given(st.lists(MESSAGES, max_size=8), st.lists(st.integers(1, 150_000), max_size=50))
def test_messages_may_be_cut_anywhere(messages, sizes):
    conversation = established("data")
    for message in messages:
        conversation.dialer.send(message)
    got = feed(conversation.acceptor, take(conversation.dialer), sizes=sizes)
    assert list(map(plain, got)) == list(map(plain, messages))


def test_many_small_messages_pass_the_end_of_the_buffer():
    conversation = established("data")
    for epoch in range(30_000):
        conversation.dialer.send(Barrier(CHANNEL, epoch))
    got = feed(conversation.acceptor, take(conversation.dialer))
    assert [message.epoch for message in got] == list(range(30_000))


def test_out_of_band_buffers_are_aligned_and_writable_and_not_copied():
    conversation = established("data")
    arrays = [bytearray(b"a" * 100_001), bytearray(b"b" * 33)]
    batch = Encoded.dump(CHANNEL, [pickle.PickleBuffer(array) for array in arrays])
    conversation.dialer.send(batch)
    [got] = feed(conversation.acceptor, take(conversation.dialer))
    assert got.load() == arrays
    offsets = []
    for buffer in got.buffers:
        assert not buffer.readonly
        assert buffer.obj is got.pickled.obj
        offsets.append(bytes(buffer.obj).index(bytes(buffer)))
    assert all(offset % 16 == 0 for offset in offsets)


def test_messages_wait_until_the_owner_of_the_connection_reads_them():
    """What follows the handshake at once is not lost, nor reported as part of it."""
    conversation = Conversation("data")
    feed(conversation.acceptor, take(conversation.dialer))
    feed(conversation.dialer, take(conversation.acceptor))
    conversation.dialer.send(Barrier(CHANNEL, 5))
    data = take(conversation.dialer)
    taken = 0
    while not conversation.acceptor.established:
        buffer = conversation.acceptor.get_buffer()
        buffer[:] = data[taken : taken + len(buffer)]
        taken += len(buffer)
        events = conversation.acceptor.received(len(buffer), 0.0)
    assert [type(event) for event in events] == [Established]
    assert feed(conversation.acceptor, data[taken:]) == [Barrier(CHANNEL, 5)]


@pytest.mark.parametrize(
    ("purpose", "data"),
    [
        ("control", frame(Kind.BARRIER, bytes(20))),
        ("data", json_frame(Kind.CONTROL, {})),
        ("data", frame(Kind.HELLO)),
        ("probe", json_frame(Kind.CONTROL, {})),
        ("control", frame(Kind.CONTROL, b"[1]")),
        ("control", frame(Kind.CONTROL, b"\xff")),
        ("data", frame(Kind.BARRIER, bytes(3))),
        ("data", frame(Kind.DATA, bytes(3))),
        ("data", frame(Kind.DATA, bytes(100))),
        ("data", HEADER.pack(Kind.DATA, 1 << 62)),
        ("data", HEADER.pack(99, 0)),
    ],
)
def test_a_peer_that_is_not_in_order_is_named(purpose, data):
    [event] = feed(established(purpose).acceptor, data)
    assert isinstance(event, ProtocolError)


def test_control_messages_go_both_ways():
    conversation = established()
    conversation.dialer.send_control({"type": "a", "n": [1, None]})
    conversation.acceptor.send_control({"type": "ü" * 10_000})
    conversation.run()
    assert conversation.acceptor_events == [ControlMessage({"type": "a", "n": [1, None]})]
    assert conversation.dialer_events == [ControlMessage({"type": "ü" * 10_000})]


def test_a_handshake_has_a_time_limit():
    connection = Connection(hello(), dialer=False, secret=None, now=5.0, handshake_limit=10.0)
    assert connection.next_tick() == 15.0
    assert connection.tick(14.9) == []
    assert connection.tick(15.0) == [ProtocolError("it said nothing for 10 s")]


def test_a_slow_trickle_does_not_prolong_a_handshake():
    connection = Connection(hello(), dialer=False, secret=None, now=0.0)
    for second, byte in enumerate(PREAMBLE):
        assert feed(connection, bytes([byte]), now=second) == []
    assert connection.tick(10.0) == [ProtocolError("its handshake was not done after 10 s")]


def test_heartbeats_keep_a_control_connection_alive():
    conversation = established(heartbeat_limit=8.0)
    ends = (conversation.dialer, conversation.acceptor)
    now = 0.0
    while now < 100.0:
        now = min(end.next_tick() for end in ends)
        for end in ends:
            assert end.tick(now) == []
        conversation.run(now)
    assert conversation.events == ([], [])


def test_silence_is_reported_at_the_limit():
    conversation = established(heartbeat_limit=30.0)
    dialer = conversation.dialer
    now = 0.0
    events = []
    while not events:
        now = dialer.next_tick()
        events = dialer.tick(now)
    assert (now, events) == (30.0, [Silent(30.0)])
    assert dialer.next_tick() == math.inf


def test_any_byte_counts_as_life():
    conversation = established(heartbeat_limit=30.0)
    feed(conversation.dialer, frame(Kind.HEARTBEAT)[:1], now=29.0)
    assert conversation.dialer.tick(31.0) == []
    assert conversation.dialer.tick(59.0) == [Silent(30.0)]


@pytest.mark.parametrize(("limit", "interval"), [(30.0, 5.0), (8.0, 2.0)])
def test_heartbeats_are_sent_often_enough(limit, interval):
    conversation = established(heartbeat_limit=limit)
    conversation.dialer.tick(0.0)
    assert take(conversation.dialer) == frame(Kind.HEARTBEAT)
    assert conversation.dialer.next_tick() == interval


def test_slow_user_code_does_not_make_a_data_connection_silent():
    conversation = established("data")
    assert conversation.dialer.next_tick() == math.inf
    assert conversation.dialer.tick(1e6) == []
    assert conversation.dialer.pending == 0


def test_closing_is_told_with_what_it_interrupted():
    silent = Connection(hello(), dialer=False, secret=None, now=0.0)
    assert silent.closed() == [Closed("connection closed before it said anything")]
    begun = Connection(hello(), dialer=False, secret=None, now=0.0)
    feed(begun, PREAMBLE)
    assert begun.closed() == [Closed("connection closed during the handshake")]
    done = established()
    assert done.dialer.closed("connection reset") == [Closed("connection reset")]
    assert done.dialer.closed() == []


def test_the_acceptor_does_not_say_whom_it_wants():
    conversation = Conversation("data")
    feed(conversation.acceptor, take(conversation.dialer))
    said = take(conversation.acceptor)
    body = said[len(PREAMBLE) + HEADER.size :]
    length = HEADER.unpack_from(said, len(PREAMBLE))[1]
    assert Hello.decode(body[:length]).to is None
