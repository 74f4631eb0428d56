import itertools
import os
import threading

import pytest

from ctl.remote.deployments import Deployment
from ctl.remote.following import send_logs
from ctl.remote.lock import try_lock
from ctl.remote.logfile import LogWriter, stamp
from ctl.remote.root import Root, write_json
from tests.ctl.remote.machine import text
from tests.engine.running import eventually

START = 1_780_000_000.0


class Process:
    """A process that writes when it is told to."""

    def __init__(self, folder):
        self.folder = folder
        self.now = START
        self._writer = LogWriter(folder / "log")

    def write(self, *lines):
        for line in lines:
            self.now += 1
            self._writer.write(b"o", [line.encode()], self.now)

    @property
    def cursor(self):
        return list(self._writer.cursor)

    def close(self):
        self._writer.close()


class Operator:
    """Takes what is sent, and may be gone."""

    def __init__(self, deployment, **wanted):
        self.got = []
        self.cursors = {}
        self.caught_up, self.gone = threading.Event(), threading.Event()
        self._thread = threading.Thread(
            target=send_logs, args=(deployment, wanted, self.take, lambda: not self.gone.is_set())
        )
        self._thread.start()

    def take(self, event, data):
        assert not data or data.endswith(b"\n")
        if event == {"caught_up": True}:
            self.caught_up.set()
            return
        number = event["process"]
        self.got += [(number, text(line)) for line in data.split(b"\n")[:-1]]
        self.cursors[str(number)] = event["cursor"]

    def has_lines(self):
        return bool(self.got)

    def leave(self):
        self.gone.set()
        self.ended()

    def ended(self):
        self._thread.join(30)
        assert not self._thread.is_alive()


@pytest.fixture
def deployment(tmp_path):
    return Deployment(Root(str(tmp_path)), "flights")


@pytest.fixture
def process(deployment):
    made = []

    def make(number):
        made.append(Process(deployment.process(number).path))
        return made[-1]

    yield make
    for each in made:
        each.close()


def logs(deployment, **wanted):
    operator = Operator(deployment, **wanted)
    operator.ended()
    return operator


def test_no_such_deployment(deployment):
    assert logs(deployment).got == []


def test_all_there_is(deployment, process):
    process(0).write("a", "b")
    process(1).write("c")
    operator = logs(deployment)
    assert operator.got == [(0, "a"), (0, "b"), (1, "c")]
    assert logs(deployment, processes=[1]).got == [(1, "c")]
    assert logs(deployment, cursors=operator.cursors).got == []


def test_where_to_start(deployment, process):
    one, other = process(0), process(1)
    one.write("a", "b")
    write_json(one.folder / "state.json", {"state": "finished", "log_start": one.cursor})
    one.write("c")
    other.write("d", "e", "f")
    assert logs(deployment, lines=1).got == [(0, "c"), (1, "f")]
    assert logs(deployment, lines=0).got == []
    since = stamp(START + 2).decode()
    assert logs(deployment, since=since).got == [(0, "b"), (0, "c"), (1, "e"), (1, "f")]
    assert logs(deployment, of_launch=True).got == [(0, "c"), (1, "d"), (1, "e"), (1, "f")]


def test_a_process_without_lines_is_known_at_once(deployment, process):
    process(3)
    assert logs(deployment, lines=5).cursors == {"3": [1, 0]}


def test_what_comes_is_sent(deployment, process):
    one = process(0)
    one.write("before")
    operator = Operator(deployment, lines=0, follow=True)
    eventually(operator.caught_up.is_set, "the start")
    assert operator.cursors == {"0": one.cursor}
    one.write("a")
    eventually(lambda: operator.got == [(0, "a")], "a line")
    later = process(1)
    later.write("b")
    eventually(lambda: (1, "b") in operator.got, "a line of a process that was not there")
    operator.leave()


def test_a_lost_connection_leaves_no_gap_and_no_repeat(deployment, process):
    one = process(0)
    lines = iter(map(str, itertools.count()))
    cursors, got = {}, []
    for _ in range(5):
        operator = Operator(deployment, cursors=cursors, follow=True)
        for line in itertools.islice(lines, 20):
            one.write(line)
        eventually(operator.has_lines, "lines")
        operator.leave()
        cursors |= operator.cursors
        got += operator.got
        one.write(next(lines))
    got += logs(deployment, cursors=cursors).got
    assert [int(line) for _, line in got] == list(range(105))


def test_the_end_of_all_processes_ends_it(deployment, process):
    one = process(0)
    lock = try_lock(one.folder / "lock")
    assert lock is not None
    operator = Operator(deployment, follow=True, until_ended=True)
    one.write("a")
    eventually(lambda: operator.got, "a line")
    one.write("last")
    os.close(lock)
    operator.ended()
    assert operator.got == [(0, "a"), (0, "last")]
