import pytest

from ctl.remote.restarts import RestartPolicy

POLICY = RestartPolicy(codes=(74, 75), signals=True)


@pytest.mark.parametrize("code", [0, 1, 64, 65, 66, 70, 76, 77, 78, 127])
def test_ends_that_are_final(code):
    assert POLICY.pause(code, [], 1000.0) is None


@pytest.mark.parametrize("code", [74, 75, -9, -11])
def test_ends_after_which_it_is_started_again(code):
    assert POLICY.pause(code, [], 1000.0) == 0.5


def test_signals_count_only_if_they_are_to():
    assert RestartPolicy(codes=(75,)).pause(-9, [], 0.0) is None


def test_at_most_three_starts_in_ten_minutes_with_longer_and_longer_pauses():
    before, pauses, now = [], [], 5000.0
    while (pause := POLICY.pause(75, before, now)) is not None:
        pauses.append(pause)
        now += pause
        before.append(now)
    assert pauses == [0.5, 1.0, 2.0]
    assert POLICY.pause(75, before, before[0] + 599.0) is None
    assert POLICY.pause(75, before, before[0] + 600.0) == 2.0
    assert POLICY.pause(75, before, before[-1] + 600.0) == 0.5


def test_a_pause_is_never_longer_than_half_a_minute():
    policy = RestartPolicy(codes=(75,), limit=5000)
    assert policy.pause(75, [0.0] * 4999, 1.0) == 30.0


def test_what_a_launch_says():
    assert RestartPolicy.of(None).pause(-9, [], 0.0) is None
    said = {"codes": [69, 70], "signals": True, "limit": 5, "window": 60}
    assert RestartPolicy.of(said) == RestartPolicy((69, 70), True, 5, 60.0)
    assert RestartPolicy.of({"codes": [75]}) == RestartPolicy((75,))
