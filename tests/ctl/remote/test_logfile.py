import errno
import os
import re
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ctl.remote import logfile
from ctl.remote.logfile import (
    LINE_BYTES,
    TIME_LENGTH,
    Lines,
    LogWriter,
    read,
    segments,
    stamp,
    start_of_last,
    start_since,
)

START = 1_780_000_000.0
LINES = st.lists(st.binary(max_size=12).filter(lambda line: b"\n" not in line), max_size=8)
WRITES = st.lists(st.tuples(LINES, st.integers(-3, 3)), max_size=12)


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "log"


def make_small(patch):
    """Segments that are soon full, none of which is removed, read in small portions."""
    patch.setattr(logfile, "SEGMENT_BYTES", 200)
    patch.setattr(logfile, "KEPT_SEGMENTS", 1000)
    patch.setattr(logfile, "_READ", 147)


@pytest.fixture
def small(monkeypatch):
    make_small(monkeypatch)


def all_of(folder, cursor=(0, 0)):
    return b"".join(data for data, _ in read(folder, cursor))


def texts(data):
    return [line[TIME_LENGTH + 3 :] for line in data.split(b"\n")[:-1]]


@pytest.mark.parametrize(
    ("now", "shown"),
    [
        (0.0, b"1970-01-01T00:00:00.000000Z"),
        (1795545598.123456, b"2026-11-24T18:39:58.123456Z"),
        (1795545598.999999, b"2026-11-24T18:39:58.999999Z"),
    ],
)
def test_stamps(now, shown):
    assert stamp(now) == shown
    assert len(shown) == TIME_LENGTH


@settings(deadline=None)
@given(st.floats(0, 4e9), st.floats(0, 4e9))
def test_stamps_sort_as_times_do(one, other):
    assert stamp(min(one, other)) <= stamp(max(one, other))


@settings(deadline=None)
@given(st.lists(st.binary(max_size=30)), st.data())
def test_lines_do_not_depend_on_how_they_are_cut(lines, data):
    lines = [line.replace(b"\n", b"").replace(b"\r", b"") for line in lines]
    stream = b"\n".join(lines)
    cutter, got = Lines(), []
    while stream:
        count = data.draw(st.integers(1, len(stream)))
        got += cutter.feed(stream[:count])
        stream = stream[count:]
    rest = cutter.rest()
    assert got + rest == (lines if lines and lines[-1] else lines[:-1])
    assert cutter.rest() == []


@pytest.mark.parametrize("portion", [LINE_BYTES // 3, LINE_BYTES, 10 * LINE_BYTES])
@pytest.mark.parametrize("length", [LINE_BYTES - 1, LINE_BYTES, LINE_BYTES + 1, 3 * LINE_BYTES + 5])
def test_a_long_line_is_broken_and_none_of_it_lost(length, portion):
    stream = bytes(65 + each % 23 for each in range(length)) + b"\nnext\n"
    cutter, got = Lines(), []
    for start in range(0, len(stream), portion):
        got += cutter.feed(stream[start : start + portion])
    assert max(map(len, got)) <= LINE_BYTES
    assert b"".join(got) + b"\n" == stream.replace(b"\nnext", b"next")
    assert got[-1] == b"next"


def test_line_ends_of_another_system():
    assert Lines().feed(b"one\r\ntwo\r\n") == [b"one", b"two"]


def test_a_line_has_its_time_and_stream(folder):
    writer = LogWriter(folder)
    writer.write(b"o", [b"hello", b"you"], 1795545598.5)
    writer.write(b"e", [b"\xff"], 1795545599.5)
    writer.close()
    assert all_of(folder) == (
        b"2026-11-24T18:39:58.500000Z o hello\n"
        b"2026-11-24T18:39:58.500000Z o you\n"
        b"2026-11-24T18:39:59.500000Z e \xff\n"
    )


@settings(max_examples=60, deadline=None)
@given(WRITES, st.data())
def test_a_reader_that_follows_misses_repeats_and_splits_nothing(writes, data):
    with pytest.MonkeyPatch.context() as patch, tempfile.TemporaryDirectory() as name:
        make_small(patch)
        folder, cursor, got = Path(name), (0, 0), []
        writer = LogWriter(folder)
        now, written = START, []
        for lines, pause in writes:
            now += pause
            writer.write(b"o", lines, now)
            written += lines
            if data.draw(st.booleans()):
                writer.close()
                writer = LogWriter(folder)
            if data.draw(st.booleans()):
                for portion, after in read(folder, cursor):
                    assert portion.endswith(b"\n")
                    got += texts(portion)
                    cursor = after
        got += texts(all_of(folder, cursor))
        assert got == written
        assert cursor <= writer.cursor
        writer.close()
        stamps = [line[:TIME_LENGTH] for line in all_of(folder).split(b"\n")[:-1]]
        assert stamps == sorted(stamps)


@settings(max_examples=60, deadline=None)
@given(WRITES, st.integers(0, 40), st.integers(-10, 30), st.booleans())
def test_where_to_start(writes, count, after, empty):
    with pytest.MonkeyPatch.context() as patch, tempfile.TemporaryDirectory() as name:
        make_small(patch)
        folder = Path(name)
        writer = LogWriter(folder)
        now = START
        for lines, pause in writes:
            now += pause
            writer.write(b"o", lines, now)
        writer.close()
        if empty:
            # A new segment in which nothing is yet.
            (folder / f"{segments(folder)[-1] + 1:06}.log").touch()
        lines = [line + b"\n" for line in all_of(folder).split(b"\n")[:-1]]
        last = all_of(folder, start_of_last(folder, count))
        assert last == b"".join(lines[max(0, len(lines) - count) :])
        since = stamp(START + after)
        wanted = b"".join(line for line in lines if line[:TIME_LENGTH] >= since)
        assert all_of(folder, start_since(folder, since.decode())) == wanted


def test_no_log_at_all(folder):
    assert start_of_last(folder, 5) == (0, 0)
    assert start_since(folder, "2026") == (0, 0)
    assert list(read(folder, (3, 17))) == []


def test_old_segments_are_removed(folder, small, monkeypatch):
    monkeypatch.setattr(logfile, "KEPT_SEGMENTS", 3)
    writer = LogWriter(folder)
    for number in range(100):
        writer.write(b"o", [b"%d" % number], START)
    writer.close()
    assert len(segments(folder)) == 3
    got = [int(line) for line in texts(all_of(folder, (1, 0)))]
    assert got == list(range(got[0], 100))


def test_a_log_that_was_begun_anew_is_read_from_its_start(folder):
    writer = LogWriter(folder)
    writer.write(b"o", [b"new"], START)
    writer.close()
    for cursor in ((5, 0), (1, 10_000)):
        assert texts(all_of(folder, cursor)) == [b"new"]


def test_other_files_are_no_segments(folder, small):
    writer = LogWriter(folder)
    writer.write(b"o", [b"line"], START)
    writer.close()
    (folder / "notes.log").touch()
    (folder / "000007.txt").touch()
    assert segments(folder) == [1]


def test_what_a_killed_writer_left_half_is_cut_off(folder):
    writer = LogWriter(folder)
    writer.write(b"o", [b"whole"], START)
    writer.close()
    with (folder / "000001.log").open("ab") as file:
        file.write(b"2026-11-24T18:39")
    assert all_of(folder, start_of_last(folder, 0)) == b""
    writer = LogWriter(folder)
    writer.write(b"o", [b"next"], START)
    writer.close()
    assert texts(all_of(folder)) == [b"whole", b"next"]


def test_times_do_not_go_back_when_the_clock_does(folder):
    for now in (START, START - 3600):
        writer = LogWriter(folder)
        writer.write(b"o", [b"line"], now)
        writer.close()
    assert {line[:TIME_LENGTH] for line in all_of(folder).splitlines()} == {stamp(START)}


class Disk:
    """What is written goes to files as long as there is room."""

    def __init__(self, monkeypatch):
        self.room = 1 << 30
        self._write = os.write
        monkeypatch.setattr(os, "write", self.write)

    def write(self, fd, data):
        if self.room <= 0 and data:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        written = self._write(fd, data[: self.room])
        self.room -= written
        return written


@pytest.fixture
def disk(monkeypatch):
    return Disk(monkeypatch)


def test_lines_that_found_no_room_are_counted(folder, disk):
    writer = LogWriter(folder)
    writer.write(b"o", [b"before"], START)
    disk.room = 0
    writer.write(b"o", [b"lost", b"lost"], START + 1)
    writer.write(b"e", [b"lost"], START + 2)
    disk.room = 1 << 20
    writer.write(b"o", [b"after"], START + 3)
    writer.write(b"o", [b"more"], START + 4)
    writer.close()
    notice = b"hostmesh: 3 lines were lost: disk full"
    assert texts(all_of(folder)) == [b"before", notice, b"after", b"more"]


@pytest.mark.parametrize("room", range(0, 150, 7))
def test_a_disk_that_fills_in_the_middle_of_lines(folder, disk, room):
    """Each line is there once or counted, and what a reader has seen stays true."""
    writer = LogWriter(folder)
    disk.room = room
    lines = [b"one", b"two", b"three"]
    writer.write(b"o", lines, START)
    seen, cursor = [], (0, 0)
    for portion, after in read(folder, (0, 0)):
        seen += texts(portion)
        cursor = after
    assert seen == lines[: len(seen)]
    lost = len(lines) - len(seen)
    disk.room = room // 3
    writer.write(b"o", [b"four"], START)
    disk.room = 1 << 20
    writer.write(b"o", [b"five"], START)
    writer.close()
    later = texts(all_of(folder, cursor))
    counted = sum(
        int(found[1])
        for line in later
        if (found := re.fullmatch(rb"hostmesh: (\d+) lines were lost: disk full", line))
    )
    kept = [line for line in later if not line.startswith(b"hostmesh")]
    assert counted + len(kept) == lost + 2
    assert kept[-1] == b"five"
    assert texts(all_of(folder)) == seen + later


def test_no_room_for_another_segment(folder, small, monkeypatch):
    writer = LogWriter(folder)
    writer.write(b"o", [b"x" * 100], START)
    before = writer.cursor
    opener = os.open

    def refuse(*_args):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "open", refuse)
    writer.write(b"o", [b"y" * 100], START)
    assert writer.cursor == before
    monkeypatch.setattr(os, "open", opener)
    writer.write(b"o", [b"z" * 100], START)
    writer.close()
    assert texts(all_of(folder, before)) == [
        b"hostmesh: 1 lines were lost: disk full",
        b"z" * 100,
    ]
    assert segments(folder) == [1, 2]
