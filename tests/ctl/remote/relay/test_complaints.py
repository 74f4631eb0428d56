from ctl.remote.relay.complaints import BURST, WINDOW_SECONDS, Complaints


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


def test_of_much_at_once_a_few_lines_and_a_count_are_written():
    clock, lines = Clock(), []
    complaints = Complaints(lines.append, clock)
    for number in range(BURST + 7):
        complaints.say(f"line {number}")
    assert lines == [f"line {number}" for number in range(BURST)]
    complaints.flush()
    assert len(lines) == BURST
    clock.now += WINDOW_SECONDS
    complaints.flush()
    assert lines[BURST:] == ["7 more lines were left out"]
    complaints.say("again")
    assert lines[-1] == "again"


def test_the_same_of_a_peer_is_said_once_until_it_was_well():
    lines = []
    complaints = Complaints(lines.append, Clock())
    for peer, text in [(1, "refused"), (1, "refused"), (2, "refused"), (1, "timed out")]:
        complaints.say_of(peer, f"{peer} {text}")
    assert lines == ["1 refused", "2 refused", "1 timed out"]
    complaints.forget(1)
    complaints.say_of(1, "1 timed out")
    assert lines[3:] == ["1 timed out"]
