"""The log of one process: numbered segments of lines, each with its time.

A line is `2026-11-24T18:39:58.123456Z o text`: the time in UTC, `o` for stdout or `e` for
stderr, and what the process wrote. The times of a log never go back. A *cursor* is a segment's
number and an offset in bytes; it stays valid as long as the segment is kept.
"""

import contextlib
import itertools
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path

SEGMENT_BYTES = 16 << 20
KEPT_SEGMENTS = 8
LINE_BYTES = 64 << 10
"""A longer line is broken there."""

TIME_LENGTH = 27
_READ = 256 << 10

Cursor = tuple[int, int]


def stamp(now: float) -> bytes:
    """Unix time as text that sorts as the times do."""
    whole = int(now)
    text = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(whole))
    return f"{text}.{int((now - whole) * 1e6):06}Z".encode()


class LogWriter:
    """Appends lines to the newest segment; what cannot be written is counted, not waited for.

    Args:
        folder: Of the segments.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._number = max(segments(folder), default=1)
        self._fd = self._open(self._number)
        self._size = _end(folder, self._number)
        # A writer that was killed may have left half a line.
        os.ftruncate(self._fd, self._size)
        self._last = _last_time(folder)
        self._lost = 0

    @property
    def cursor(self) -> Cursor:
        """Behind the last line."""
        return self._number, self._size

    def write(self, kind: bytes, lines: list[bytes], now: float) -> None:
        """Append lines, without their ends.

        Args:
            kind: `o` or `e`.
            lines: What a process wrote.
            now: Unix time; a clock that goes back does not take the log along.
        """
        self._last = max(self._last, stamp(now))
        start = b"%b %b " % (self._last, kind)
        lost = b""
        if self._lost:
            lost = b"%b e hostmesh: %d lines were lost: disk full\n" % (self._last, self._lost)
        data = lost + b"".join([b"%b%b\n" % (start, line) for line in lines])
        whole = self._append(data)
        if not whole:
            self._lost += len(lines)
            return
        # Whoever reads along may have read these lines already, so they stay.
        self._size += whole
        self._lost = data.count(b"\n", whole)

    def close(self) -> None:
        """Give the descriptor back."""
        os.close(self._fd)

    def _append(self, data: bytes) -> int:
        """Write as many whole lines as there is room for; give their length in bytes."""
        written = 0
        with contextlib.suppress(OSError):
            if self._size and self._size + len(data) > SEGMENT_BYTES:
                self._rotate()
            written = os.write(self._fd, data)
        whole = data.rfind(b"\n", 0, written) + 1
        if whole < written:
            with contextlib.suppress(OSError):
                os.ftruncate(self._fd, self._size + whole)
        return whole

    def _open(self, number: int) -> int:
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
        return os.open(_segment(self._folder, number), flags, 0o600)

    def _rotate(self) -> None:
        before, self._fd = self._fd, self._open(self._number + 1)
        self._number += 1
        self._size = 0
        os.close(before)
        for number in segments(self._folder)[:-KEPT_SEGMENTS]:
            with contextlib.suppress(OSError):
                _segment(self._folder, number).unlink()


class Lines:
    """Cuts what comes through a pipe into lines."""

    def __init__(self) -> None:
        self._tail = b""

    def feed(self, data: bytes) -> list[bytes]:
        """Take bytes; give the lines that are whole now."""
        *lines, self._tail = (self._tail + data).split(b"\n")
        while len(self._tail) > LINE_BYTES:
            lines.append(self._tail[:LINE_BYTES])
            self._tail = self._tail[LINE_BYTES:]
        return [piece for line in lines for piece in _pieces(line.removesuffix(b"\r"))]

    def rest(self) -> list[bytes]:
        """The last line, if it has no end."""
        tail, self._tail = self._tail, b""
        return [tail] if tail else []


def _pieces(line: bytes) -> list[bytes]:
    if len(line) <= LINE_BYTES:
        return [line]
    return [line[start : start + LINE_BYTES] for start in range(0, len(line), LINE_BYTES)]


def segments(folder: Path) -> list[int]:
    """Numbers of the segments that are kept, in order."""
    with contextlib.suppress(OSError):
        paths = [path for path in folder.iterdir() if path.suffix == ".log"]
        return sorted(int(path.stem) for path in paths if path.stem.isdigit())
    return []


def _segment(folder: Path, number: int) -> Path:
    return folder / f"{number:06}.log"


def read(folder: Path, cursor: Cursor) -> Iterator[tuple[bytes, Cursor]]:
    """Give what is there behind a cursor, in portions of whole lines, each with the next cursor."""
    number, offset = cursor
    numbers = segments(folder)
    if numbers and (number > numbers[-1] or offset > _size(folder, number)):
        # The log was removed and begun anew.
        number, offset = 0, 0
    for each in numbers:
        if each < number:
            continue
        if each > number:
            number, offset = each, 0
        with contextlib.suppress(FileNotFoundError), _segment(folder, each).open("rb") as file:
            file.seek(offset)
            while data := file.read(_READ):
                end = data.rfind(b"\n") + 1
                if not end:
                    # A line is never longer than what is read, so this one is being written.
                    break
                offset += end
                file.seek(offset)
                yield data[:end], (number, offset)


def start_of_last(folder: Path, count: int) -> Cursor:
    """The cursor before the last lines.

    Args:
        folder: Of the segments.
        count: How many lines.
    """
    numbers = segments(folder)
    left = count
    for number in reversed(numbers):
        if left <= 0:
            return number, _end(folder, number)
        path = _segment(folder, number)
        with contextlib.suppress(FileNotFoundError), path.open("rb") as file:
            at = file.seek(0, os.SEEK_END)
            while at > 0:
                size = min(_READ, at)
                file.seek(at - size)
                data = file.read(size)
                found = data.count(b"\n")
                # The end of the line before is where the wanted ones start.
                if found > left:
                    position = len(data)
                    for _ in range(left + 1):
                        position = data.rfind(b"\n", 0, position)
                    return number, at - size + position + 1
                left -= found
                at -= size
    return (numbers[0], 0) if numbers else (0, 0)


def start_since(folder: Path, since: str) -> Cursor:
    """The cursor before the first line that is not older than a time.

    Args:
        folder: Of the segments.
        since: Time as the lines have it.
    """
    wanted = since.encode()
    numbers = segments(folder)
    # Segments that end before the time are not read.
    for number, following in itertools.pairwise(numbers):
        first = _first_time(folder, following)
        if not first or first >= wanted:
            return number, _offset_since(folder, number, wanted)
    if not numbers:
        return (0, 0)
    return numbers[-1], _offset_since(folder, numbers[-1], wanted)


def _first_time(folder: Path, number: int) -> bytes:
    with contextlib.suppress(FileNotFoundError), _segment(folder, number).open("rb") as file:
        return file.read(TIME_LENGTH)
    return b""


def _offset_since(folder: Path, number: int, wanted: bytes) -> int:
    offset = 0
    with contextlib.suppress(FileNotFoundError), _segment(folder, number).open("rb") as file:
        for line in file:
            if line[:TIME_LENGTH] >= wanted:
                break
            offset += len(line)
    return offset


def _size(folder: Path, number: int) -> int:
    with contextlib.suppress(FileNotFoundError):
        return _segment(folder, number).stat().st_size
    return sys.maxsize


def _end(folder: Path, number: int) -> int:
    """Where the last whole line of a segment ends."""
    with contextlib.suppress(FileNotFoundError), _segment(folder, number).open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        at = file.seek(max(0, size - _READ))
        return at + file.read(size - at).rfind(b"\n") + 1
    return 0


def _last_time(folder: Path) -> bytes:
    """The time of the last line that is there; nothing if there is none."""
    for data, _ in read(folder, start_of_last(folder, 1)):
        return data[:TIME_LENGTH]
    return b""
