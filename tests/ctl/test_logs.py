"""Lines of logs: read, merged, and followed."""

import itertools
import threading
from collections import defaultdict
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ctl import logs
from ctl.logs import Follower, LogLine, merge, parse

START = datetime(2026, 11, 24, 18, 39, 58, tzinfo=UTC).timestamp()


def at(seconds: float) -> str:
    return f"{datetime.fromtimestamp(START + seconds, UTC):%Y-%m-%dT%H:%M:%S.%f}Z"


def line(seconds: float, process: int = 0, text: str = "text", host: str = "") -> LogLine:
    return LogLine(at(seconds), host or f"host{process}", process, "out", text)


class Clock:
    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def by_process(lines: list[LogLine]) -> dict[int, list[LogLine]]:
    found = defaultdict(list)
    for each in lines:
        found[each.process].append(each)
    return found


# Reading.


def test_lines_are_read():
    raw = (
        "2026-11-24T18:39:58.123456Z o one\n"
        "2026-11-24T18:39:58.123457Z e zwei \u2028 Wörter\n"
        "2026-11-24T18:39:58.123458Z o \n"
    ).encode()
    assert parse("alpha", 3, raw) == [
        LogLine("2026-11-24T18:39:58.123456Z", "alpha", 3, "out", "one"),
        LogLine("2026-11-24T18:39:58.123457Z", "alpha", 3, "err", "zwei \u2028 Wörter"),
        LogLine("2026-11-24T18:39:58.123458Z", "alpha", 3, "out", ""),
    ]


def test_nothing_is_no_lines():
    assert parse("alpha", 0, b"") == []


def test_bytes_that_are_no_text_are_replaced():
    (read,) = parse("alpha", 0, b"2026-11-24T18:39:58.123456Z o a\xff\xc3\n")
    assert read.text == "a\ufffd\ufffd"


def test_a_line_without_time_keeps_its_text_and_place():
    raw = b"2026-11-24T18:39:58.123456Z o one\n\0\0\0\n2026-11-24T18:39:59.000000Z o two\n"
    read = parse("alpha", 0, raw)
    assert [each.text for each in read] == ["one", "\0\0\0", "two"]
    assert read[1].time == read[0].time


@given(st.lists(st.text(st.characters(exclude_characters="\n", codec="utf-8"))))
def test_every_text_comes_through(texts):
    raw = "".join(f"{at(number)} e {text}\n" for number, text in enumerate(texts)).encode()
    assert [each.text for each in parse("alpha", 0, raw)] == texts


@given(st.lists(st.binary()))
def test_whatever_is_on_the_disk_has_as_many_lines(parts):
    raw = b"".join(part + b"\n" for part in parts)
    assert len(parse("alpha", 0, raw)) == raw.count(b"\n")


# What is there already.


def test_streams_are_merged_by_time_and_then_by_process():
    streams = [[line(0, 0), line(2, 0)], [line(0, 1), line(1, 1), line(2, 1)]]
    assert [(each.time, each.process) for each in merge(reversed(streams))] == [
        (at(0), 0),
        (at(0), 1),
        (at(1), 1),
        (at(2), 0),
        (at(2), 1),
    ]


times = st.lists(st.integers(0, 5))


@given(st.lists(times, max_size=5))
def test_merging_neither_loses_nor_repeats_nor_turns_a_process_round(all_times):
    streams = [
        [line(second, process, str(number)) for number, second in enumerate(seconds)]
        for process, seconds in enumerate(all_times)
    ]
    merged = by_process(list(merge(streams)))
    assert [merged[process] for process in range(len(streams))] == streams


@given(st.lists(times.map(sorted), max_size=5))
def test_merged_lines_are_in_order(all_times):
    streams = [
        [line(each, process) for each in seconds] for process, seconds in enumerate(all_times)
    ]
    merged = [(each.time, each.process) for each in merge(streams)]
    assert merged == sorted(merged)


# What comes.


def test_a_line_waits_for_older_ones_of_other_hosts(clock):
    follower = Follower(clock=clock)
    clock.now = START + 0.05
    follower.push("host0", [line(0.04, 0)])
    assert follower.due() == []
    clock.now = START + 0.06
    follower.push("host1", [line(0.03, 1), line(0.05, 1)])
    clock.now = START + 0.2
    assert [each.time for each in follower.due()] == [at(0.03), at(0.04), at(0.05)]
    assert follower.due() == []


def test_a_line_waits_no_longer_than_that(clock):
    follower = Follower(clock=clock)
    follower.push("host0", [line(0, 0)])
    clock.now = START + 0.101
    assert follower.due() == [line(0, 0)]


def test_a_host_whose_clock_is_ahead_keeps_nobody_waiting(clock):
    follower = Follower(clock=clock)
    follower.push("host0", [line(3600, 0)])
    clock.now = START + 0.101
    assert follower.due() == [line(3600, 0)]


def test_a_host_whose_clock_is_ahead_leaves_the_order_of_the_others(clock):
    follower = Follower(clock=clock)
    shown = []
    for tick in range(50):
        clock.now = START + tick * 0.05
        follower.push("host2", [line(3600 + tick * 0.05, 2)])
        follower.push(f"host{tick % 2}", [line(tick * 0.05 - part, tick % 2) for part in (0.06, 0)])
        shown += follower.due()
    seen = [each.time for each in shown if each.process != 2]
    assert seen == sorted(seen)
    assert len(seen) > 90


def test_a_host_whose_clock_is_behind_is_shown_as_it_comes(clock):
    follower = Follower(clock=clock)
    follower.push("host0", [line(0, 0)])
    follower.push("host1", [line(-3600, 1)])
    clock.now = START + 0.101
    assert len(follower.due()) == 2


def test_a_clock_that_was_set_back_turns_nothing_round(clock):
    follower = Follower(clock=clock)
    lines = [line(5, 0, "one"), line(1, 0, "two"), line(6, 0, "three")]
    follower.push("host0", lines)
    clock.now = START + 10
    assert follower.due() == lines


def test_old_lines_wait_for_hosts_that_have_said_nothing_yet(clock):
    follower = Follower(["host0", "host1", "host2"], clock=clock)
    follower.push("host0", [line(-5, 0), line(-3, 0)])
    clock.now += 0.5
    assert follower.due() == []
    follower.push("host2", [])
    follower.push("host1", [line(-700, 1), line(-4, 1)])
    assert [each.time for each in follower.due()] == [at(-700), at(-5), at(-4), at(-3)]


def test_patience_with_a_host_ends(clock):
    follower = Follower(["host0", "host1"], clock=clock)
    follower.push("host0", [line(-3, 0)])
    clock.now += 1.1
    assert follower.due() == [line(-3, 0)]


steps = st.lists(
    st.one_of(
        st.tuples(
            st.just("push"),
            st.integers(0, 3),
            st.lists(st.floats(-100, 100, allow_nan=False), max_size=5),
        ),
        st.tuples(st.just("wait"), st.floats(0, 2), st.none()),
    )
)


@given(steps)
def test_following_neither_loses_nor_repeats_nor_turns_a_process_round(all_steps):
    clock = Clock()
    follower = Follower(["host0"], clock=clock)
    pushed: list[LogLine] = []
    shown: list[LogLine] = []
    for what, number, seconds in all_steps:
        if what == "push":
            # Two processes on each host.
            host = f"host{number // 2}"
            lines = [
                line(each, number, str(len(pushed) + index), host)
                for index, each in enumerate(seconds)
            ]
            pushed += lines
            follower.push(host, lines)
        else:
            clock.now += number
            shown += follower.due()
    follower.close()
    shown += list(follower)
    assert by_process(shown) == by_process(pushed)


@given(
    st.lists(
        st.tuples(st.integers(0, 3), st.floats(0, 0.05), st.floats(0, 0.09)),
        min_size=1,
        max_size=60,
    )
)
def test_lines_of_clocks_that_agree_are_in_order_if_they_come_in_time(all_lines):
    clock = Clock()
    follower = Follower(clock=clock)
    now = 0.0
    arrivals = []
    latest = defaultdict(float)
    for process, gap, delay in all_lines:
        now += gap
        # A connection keeps its order.
        latest[process] = max(latest[process], now + delay)
        arrivals.append((latest[process], line(now, process)))
    # Each host has been heard in time once.
    for process in range(4):
        follower.push(f"host{process}", [line(0, process)])
    shown = []
    for arrival, each in sorted(arrivals, key=lambda pair: pair[0]):
        clock.now = START + arrival
        shown += follower.due()
        follower.push(each.host, [each])
    clock.now += 1
    shown += follower.due()
    assert len(shown) == len(all_lines) + 4
    assert [each.time for each in shown] == sorted(each.time for each in shown)


def test_threads_push_while_one_iterates():
    follower = Follower(hold=0.01)

    def bring(process: int) -> None:
        for number in range(200):
            follower.push(f"host{process}", [line(number, process, str(number))])

    threads = [threading.Thread(target=bring, args=(process,)) for process in range(4)]
    for each in threads:
        each.start()

    def end() -> None:
        for each in threads:
            each.join()
        follower.close()

    closer = threading.Thread(target=end)
    closer.start()
    shown = by_process(list(follower))
    closer.join()
    assert {process: [int(each.text) for each in lines] for process, lines in shown.items()} == {
        process: list(range(200)) for process in range(4)
    }


def test_who_brings_too_much_waits_until_there_is_room(monkeypatch):
    monkeypatch.setattr(logs, "_CROWDED", 10)
    follower = Follower(hold=0.0)

    def bring() -> None:
        for number in range(100):
            follower.push("host0", [line(number, 0, str(number))])
        follower.close()

    bringer = threading.Thread(target=bring)
    bringer.start()
    shown = [int(each.text) for each in follower]
    bringer.join()
    assert shown == list(range(100))


def test_closing_frees_who_waits_for_room(monkeypatch):
    monkeypatch.setattr(logs, "_CROWDED", 0)
    follower = Follower()
    follower.push("host0", [line(0)])
    waiting = threading.Thread(target=follower.push, args=("host0", [line(1)]))
    waiting.start()
    follower.close()
    waiting.join(10)
    assert not waiting.is_alive()


def test_lines_come_without_anything_that_pushes_them_on():
    follower = Follower(hold=0.01)
    follower.push("host0", [line(0)])
    assert list(itertools.islice(follower, 1)) == [line(0)]
