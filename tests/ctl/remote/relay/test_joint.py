"""One relayed connection, without a network and a clock."""

import pytest

from ctl.remote.relay.frames import FrameError, Word
from ctl.remote.relay.joint import BEAT_SECONDS, SILENCE_SECONDS, Do, Joint


def dialer(*, joined=False):
    joint = Joint(dials=True)
    assert joint.opened(0.0) == [Do.DIAL]
    if joined:
        joint.linked(0.0)
        assert joint.heard(Word.JOINED) == []
    return joint


def acceptor(*, joined=False):
    joint = Joint(dials=False)
    assert joint.opened(0.0) == [Do.CONNECT]
    if joined:
        assert joint.connected() == [Do.SAY_JOINED]
    return joint


either = pytest.mark.parametrize("make", [dialer, acceptor])


# Held.


def test_nothing_of_the_engine_is_read_before_its_peer_is_joined():
    joint = dialer()
    joint.linked(0.0)
    assert not joint.reads_engine
    joint.heard(Word.ABSENT)
    assert not joint.reads_engine
    joint.heard(Word.JOINED)
    assert joint.reads_engine


def test_a_link_that_cannot_be_made_is_tried_again_as_long_as_the_engine_waits():
    joint = dialer()
    for _ in range(3):
        assert joint.link_failed() == [Do.RESET_LINK, Do.DIAL_LATER]
        assert joint.due() == [Do.DIAL]
    assert not joint.closed


def test_a_held_connection_whose_link_breaks_is_held_on():
    joint = dialer()
    joint.linked(0.0)
    joint.heard(Word.ABSENT)
    assert joint.link_failed() == [Do.RESET_LINK, Do.DIAL_LATER]
    assert not joint.closed


def test_an_engine_that_does_not_listen_is_tried_again_and_the_peer_told_once():
    joint = acceptor()
    assert joint.refused() == [Do.SAY_ABSENT, Do.CONNECT_LATER]
    assert joint.due() == [Do.CONNECT]
    assert joint.refused() == [Do.CONNECT_LATER]
    assert joint.connected() == [Do.SAY_JOINED]


@pytest.mark.parametrize("link", [False, True])
def test_an_engine_that_gives_up_while_its_peer_is_absent_is_never_connected(link):
    joint = dialer()
    if link:
        joint.linked(0.0)
        joint.heard(Word.ABSENT)
    else:
        joint.link_failed()
    assert joint.engine_end() == [Do.LOOK]
    given_up = [Do.SAY_RESET, Do.CLOSE_LINK] if link else [Do.RESET_LINK]
    assert joint.engine_left() == [*given_up, Do.RESET_ENGINE]
    assert joint.due() == joint.engine_left() == []


def test_an_engine_that_ends_one_direction_is_held_on_and_joined():
    joint = dialer()
    joint.link_failed()
    assert joint.engine_end() == [Do.LOOK]
    assert joint.due() == [Do.DIAL]
    assert joint.link_failed() == [Do.RESET_LINK, Do.DIAL_LATER, Do.LOOK]
    joint.linked(0.0)
    assert joint.heard(Word.ABSENT) == [Do.LOOK]
    assert joint.heard(Word.JOINED) == []
    # What it has sent is read, and its end behind it.
    assert joint.reads_engine
    assert joint.engine_left() == []
    assert joint.engine_end() == [Do.SAY_END]
    assert joint.heard(Word.END) == [Do.END_ENGINE, Do.CLOSE_ENGINE, Do.CLOSE_LINK]


def test_a_short_request_whose_end_comes_before_the_link_is_delivered():
    joint = dialer()
    assert joint.engine_end() == []
    joint.linked(0.0)
    assert joint.heard(Word.JOINED) == []
    # Now its data can be read, and its end behind it.
    assert joint.reads_engine
    assert joint.engine_end() == [Do.SAY_END]


@pytest.mark.parametrize("link", [False, True])
def test_whether_a_short_request_was_given_up_is_asked_once_nobody_is_there(link):
    joint = dialer()
    assert joint.engine_end() == []
    if link:
        joint.linked(0.0)
        assert joint.heard(Word.ABSENT) == [Do.LOOK]
    else:
        assert joint.link_failed() == [Do.RESET_LINK, Do.DIAL_LATER, Do.LOOK]


def test_an_engine_that_is_not_connected_yet_is_left_alone_when_the_link_breaks():
    joint = acceptor()
    joint.refused()
    assert joint.link_failed() == [Do.RESET_ENGINE, Do.RESET_LINK]
    assert joint.due() == []


# Joined.


@either
def test_it_closes_when_both_directions_have_ended(make):
    joint = make(joined=True)
    assert joint.engine_end() == [Do.SAY_END]
    assert not joint.reads_engine
    assert joint.data_came() == []
    assert joint.heard(Word.END) == [Do.END_ENGINE, Do.CLOSE_ENGINE, Do.CLOSE_LINK]
    assert joint.closed


@either
def test_the_other_direction_may_end_first(make):
    joint = make(joined=True)
    assert joint.heard(Word.END) == [Do.END_ENGINE]
    assert joint.reads_engine
    assert joint.engine_end() == [Do.SAY_END, Do.CLOSE_ENGINE, Do.CLOSE_LINK]


@either
def test_a_broken_link_resets_the_engine(make):
    assert make(joined=True).link_failed() == [Do.RESET_ENGINE, Do.RESET_LINK]


@either
def test_a_broken_link_resets_the_engine_after_a_half_close_too(make):
    joint = make(joined=True)
    joint.engine_end()
    assert joint.link_failed() == [Do.RESET_ENGINE, Do.RESET_LINK]


@either
def test_a_reset_of_the_engine_is_passed_on_behind_the_data(make):
    joint = make(joined=True)
    assert joint.engine_failed() == [Do.SAY_RESET, Do.CLOSE_LINK, Do.RESET_ENGINE]


@either
def test_a_reset_of_the_peer_resets_the_engine(make):
    assert make(joined=True).heard(Word.RESET) == [Do.RESET_ENGINE, Do.RESET_LINK]


@either
def test_what_happens_after_the_end_changes_nothing(make):
    joint = make(joined=True)
    joint.engine_failed()
    assert joint.link_failed() == joint.engine_failed() == joint.engine_end() == []
    assert joint.heard(Word.END) == joint.tick(1e9, 0.0, 0.0) == joint.due() == []


# Life.


@either
def test_a_silent_relay_is_taken_for_dead(make):
    joint = make(joined=True)
    assert joint.tick(SILENCE_SECONDS, 0.0, SILENCE_SECONDS) == []
    late = SILENCE_SECONDS + 0.1
    assert joint.tick(late, 0.0, late) == [Do.RESET_ENGINE, Do.RESET_LINK]


@either
def test_nobody_is_dead_whom_one_does_not_listen_to(make):
    joint = make(joined=True)
    for now in range(100):
        assert joint.tick(float(now), None, float(now)) == []
    # It counts anew from then on.
    assert joint.tick(100.0, 0.0, 100.0) == []


@either
def test_who_has_nothing_to_say_beats(make):
    joint = make(joined=True)
    assert joint.tick(BEAT_SECONDS - 0.1, 0.0, 0.0) == []
    assert joint.tick(BEAT_SECONDS, 0.0, 0.0) == [Do.SAY_BEAT]
    assert joint.tick(BEAT_SECONDS + 0.1, 0.0, 0.0) == []


def test_a_held_link_whose_relay_is_silent_is_made_anew():
    joint = dialer()
    joint.linked(0.0)
    assert joint.tick(SILENCE_SECONDS + 1, 0.0, 99.0) == [Do.RESET_LINK, Do.DIAL_LATER]
    assert joint.tick(1e9, 0.0, 0.0) == []


# A peer that does not speak as it should.


@pytest.mark.parametrize("said", [Word.JOINED, Word.ABSENT, Word.END])
def test_a_dialer_decides_not_whether_an_engine_is_joined(said):
    with pytest.raises(FrameError):
        acceptor().heard(said)


def test_data_before_the_engine_is_joined_is_refused():
    with pytest.raises(FrameError):
        acceptor().data_came()


@either
def test_data_after_the_end_is_refused(make):
    joint = make(joined=True)
    joint.heard(Word.END)
    with pytest.raises(FrameError):
        joint.data_came()
    with pytest.raises(FrameError):
        joint.heard(Word.END)
