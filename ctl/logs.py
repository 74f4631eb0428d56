"""Lines of the processes' logs, and how those of many hosts become one stream in time order."""

import heapq
import re
import threading
import time
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import accumulate, groupby
from operator import itemgetter
from typing import Literal, NamedTuple

HOLD_SECONDS = 0.1
"""How long a line waits for older ones of other hosts."""

_TICK_SECONDS = 0.02
"""While lines wait, they are looked at this often, not at each batch that comes."""

_PATIENCE_SECONDS = 1.0
"""How long the first lines wait for a host that has not said anything yet."""

_CROWDED = 50_000
"""Lines that wait, above which those who bring more wait too."""

_LINE = re.compile(
    r"^([0-9]{4}-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-5][0-9]:[0-5][0-9]\.[0-9]{6}Z) ([oe]) (.*)$",
    re.MULTILINE,
)
_STREAMS: dict[str, Literal["out", "err"]] = {"o": "out", "e": "err"}
_NO_TIME = "1970-01-01T00:00:00.000000Z"

_by_time = itemgetter(0)
_by_process = itemgetter(2)
_by_time_and_process = itemgetter(0, 2)


class LogLine(NamedTuple):
    """A line that a process has written.

    Args:
        time: When its supervisor has read it, in UTC: `2026-11-24T18:39:58.123456Z`. Such
            times sort as text.
        host: Name of the host.
        process: Id of the process.
        stream: Where the process wrote it.
        text: The line, without its end.
    """

    time: str
    host: str
    process: int
    stream: Literal["out", "err"]
    text: str

    def to_json(self) -> dict[str, str | int]:
        """The line for machines."""
        return self._asdict()


def parse(host: str, process: int, raw: bytes, before: str = _NO_TIME) -> list[LogLine]:
    r"""Read whole lines as they are on a host's disk.

    Args:
        host: Name of the host.
        process: Id of the process.
        raw: Lines such as `2026-11-24T18:39:58.123456Z o text\n`. What is not UTF-8 is
            replaced; a line without time, as a power failure may leave it, keeps its text.
        before: Time of the last line before these, for such a line.

    Example:
        >>> parse("alpha", 0, b"2026-11-24T18:39:58.123456Z e Oh!\n")[0].text
        'Oh!'
    """
    # Newlines outlive the replacement: it never takes in a byte that is ASCII.
    text = raw.decode("utf-8", "replace")
    found = _LINE.findall(text)
    if len(found) == text.count("\n") + (not text.endswith("\n") and bool(text)):
        return [LogLine(at, host, process, _STREAMS[to], said) for at, to, said in found]
    lines = []
    for each in text.removesuffix("\n").split("\n"):
        whole = _LINE.match(each)
        before, to, said = whole.groups() if whole else (before, "o", each)
        lines.append(LogLine(before, host, process, _STREAMS[to], said))
    return lines


def merge(streams: Iterable[Iterable[LogLine]]) -> Iterator[LogLine]:
    """Merge streams of one process each into one in time order.

    Lines of a process keep their order, even where its clock was set back. Of lines with the
    same time, those of the lower process come first.
    """
    return heapq.merge(*streams, key=_by_time_and_process)


def steady_clock() -> Callable[[], float]:
    """Make a clock in seconds since 1970 that goes on evenly when the system's is set."""
    start = time.time() - time.monotonic()
    return lambda: start + time.monotonic()


@dataclass
class _Queue:
    """Lines of one process that wait, each beside a time that never goes back."""

    host: str
    latest: str = _NO_TIME
    times: list[str] = field(default_factory=list)
    lines: list[LogLine] = field(default_factory=list)

    def add(self, lines: list[LogLine]) -> None:
        times = [line[0] for line in lines]
        if times[0] < self.latest or times != sorted(times):
            times = list(accumulate(times, max, initial=self.latest))[1:]
        self.latest = times[-1]
        self.times += times
        self.lines += lines

    def take(self, until: str) -> Iterable[tuple[str, LogLine]]:
        end = bisect_right(self.times, until)
        taken = zip(self.times[:end], self.lines[:end], strict=True)
        del self.times[:end], self.lines[:end]
        return taken


class Follower:
    """Merges live streams: threads push lines, and one iterates over all in time order.

    A line waits `hold` seconds for older ones of other hosts, and never longer. What comes
    even later comes out of order rather than not at all. Lines of a process keep their order.

    A host's clock may be wrong. How late its newest line came, at best, is its *lag*; in time
    with ours, that is the way of a line through the network. Hosts that are behind share the
    lag of the best one, since a line of theirs that came is old enough; one that is ahead has
    its own, or its lines would let out those of all others too early.

    Args:
        hosts: Names of hosts whose first push, be it empty, the first lines wait for, so that
            what was logged before comes in order; a second at most.
        hold: Seconds that a line waits.
        clock: Gives seconds since 1970.
    """

    def __init__(
        self,
        hosts: Iterable[str] = (),
        *,
        hold: float = HOLD_SECONDS,
        clock: Callable[[], float] | None = None,
    ) -> None:
        self._hold = hold
        self._clock = clock or steady_clock()
        self._queues: dict[int, _Queue] = {}
        self._lags: dict[str, float] = {}
        self._awaited = set(hosts)
        self._patient_until = self._clock() + _PATIENCE_SECONDS
        self._waiting = 0
        self._closed = False
        self._changed = threading.Condition()

    def push(self, host: str, lines: Sequence[LogLine]) -> None:
        """Bring lines of one host, in order for each process; wait while too many wait.

        Lines that come after `close` are dropped.
        """
        with self._changed:
            while self._waiting > _CROWDED and not self._closed:
                self._changed.wait()
            if self._closed:
                return
            self._awaited.discard(host)
            if not lines:
                return
            self._enqueue(host, lines)
            was_idle = not self._waiting
            self._waiting += len(lines)
            if was_idle:
                self._changed.notify_all()

    def due(self) -> list[LogLine]:
        """Take the lines that have waited long enough."""
        with self._changed:
            return self._due()

    def close(self) -> None:
        """Let nothing more come; the iteration gives the rest and ends."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def __iter__(self) -> Iterator[LogLine]:
        """Give line after line, as they become due, until `close`."""
        for batch in self.batches():
            yield from batch

    def batches(self) -> Iterator[list[LogLine]]:
        """Give the same lines, those that become due together in one list."""
        while True:
            with self._changed:
                while not (batch := self._due()) and not self._closed:
                    self._changed.wait(_TICK_SECONDS if self._waiting else None)
                if not batch:
                    break
            yield batch

    def _enqueue(self, host: str, lines: Sequence[LogLine]) -> None:
        now = self._clock()
        newest = _NO_TIME
        # Usually all are of one process; what is done for each line has to be cheap.
        for process, some in groupby(lines, _by_process):
            queue = self._queues.get(process)
            if queue is None:
                queue = self._queues[process] = _Queue(host)
            queue.add(list(some))
            newest = max(newest, queue.latest)
        lag = now - datetime.fromisoformat(newest).timestamp()
        self._lags[host] = min(lag, self._lags.get(host, lag))

    def _due(self) -> list[LogLine]:
        if not self._waiting:
            return []
        now = self._clock()
        if self._awaited and now < self._patient_until and not self._closed:
            return []
        until = {} if self._closed else {host: self._until(now, host) for host in self._lags}
        taken: list[tuple[str, LogLine]] = []
        for _, queue in sorted(self._queues.items()):
            # Nothing sorts after this text: no time does.
            taken += queue.take(until.get(queue.host, "Z"))
        taken.sort(key=_by_time)
        if self._waiting > _CROWDED:
            self._changed.notify_all()
        self._waiting -= len(taken)
        return [line for _, line in taken]

    def _until(self, now: float, host: str) -> str:
        """Time of the newest line of a host that has waited long enough."""
        least = min(self._lags[host], 0.0) - self._hold
        lag = min(each for each in self._lags.values() if each >= least)
        at = datetime.fromtimestamp(now - self._hold - lag, UTC)
        return f"{at:%Y-%m-%dT%H:%M:%S.%f}Z"
