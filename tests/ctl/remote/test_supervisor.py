import json
import os
import re
import signal
import sys
import time
from pathlib import Path

import pytest

from ctl.remote.errors import RemoteError
from ctl.remote.lock import is_locked
from ctl.remote.logfile import read
from ctl.remote.processes import ProcessFolder, stop_all
from tests.ctl.remote.machine import ended, ends, loads, log, prints, script, shell, text
from tests.engine.running import eventually

pytestmark = pytest.mark.filterwarnings("ignore:subprocess .* is still running")

ODD = [
    "",
    " ",
    "two words",
    '"',
    "'",
    "$(touch evil)",
    "`touch evil`",
    "a\nb",
    "*",
    "ä€😀",
    "\\",
    "-",
]
FOREVER = "while :; do sleep 0.05; done"


def test_output_has_times_and_streams(machine):
    before = time.time()
    folder = machine.start("L1", *shell("echo one; sleep 0.02; echo two >&2; printf three"))
    state = ends(folder, "finished")
    assert sorted(log(folder)) == [("e", "two"), ("o", "one"), ("o", "three")]
    lines = b"".join(data for data, _ in read(folder.log, (0, 0))).decode().splitlines()
    times = [line.split()[0] for line in lines]
    assert times == sorted(times)
    assert all(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", each) for each in times)
    assert (state.exit_code, state.signal, state.tail, state.launch) == (0, None, "", "L1")
    assert before <= state.ended_at <= time.time()


def test_much_output_is_all_there(machine):
    folder = machine.start("L1", *shell("seq 100000"))
    ends(folder, "finished")
    assert [line for _, line in log(folder)] == [str(each) for each in range(1, 100_001)]


def test_a_process_that_runs(machine):
    folder = machine.start("L1", *shell("echo up; exec sleep 600"))
    prints(folder, "up")
    state = folder.state()
    assert (state.state, state.supervised, state.restarts) == ("running", True, 0)
    assert 0 <= state.uptime_s < 60
    assert Path(f"/proc/{state.pid}/cmdline").read_bytes() == b"sleep\x00600\0"
    assert Path(f"/proc/{state.pid}/cwd").resolve() == machine.root.path / "work"


@pytest.mark.parametrize("code", [1, 70, 78, 255])
def test_an_exit_code(machine, code):
    folder = machine.start("L1", *shell(f"echo out; echo why >&2; exit {code}"))
    state = ends(folder, "failed")
    assert (state.exit_code, state.signal, state.tail) == (code, None, "why")


def test_a_signal(machine):
    state = ends(machine.start("L1", *shell("kill -SEGV $$")), "failed")
    assert (state.exit_code, state.signal) == (None, signal.SIGSEGV)


def test_the_end_of_a_long_complaint(machine):
    folder = machine.start("L1", *shell("seq 1 5000 >&2; exit 3"))
    tail = ends(folder, "failed").tail.splitlines()
    assert tail[-1] == "5000"
    assert len(tail) == 80


def test_a_stop_in_order(machine):
    folder = machine.start("L1", *shell(f"trap 'echo bye; exit 0' TERM; echo up; {FOREVER}"))
    prints(folder, "up")
    stop_all([folder], 30.0)
    state = ends(folder, "stopped")
    assert (state.exit_code, state.signal) == (0, None)
    assert ("o", "bye") in log(folder)


@pytest.mark.parametrize(
    ("code", "lost", "state"),
    [
        (0, [74], "stopped"),
        (74, [74], "stopped"),
        (3, [74], "failed"),
        (3, [], "failed"),
        # Of a program that is not ours, nobody knows what it ends with once its peers are gone.
        (3, None, "stopped"),
    ],
)
def test_the_end_of_a_cluster_that_others_were_told_of(machine, code, lost, state):
    waiting = "until [ -e go ]; do sleep 0.02; done"
    folder = machine.start("L1", *shell(f"echo up; {waiting}; exit {code}"), lost_codes=lost)
    prints(folder, "up")
    folder.announce_stop(5.0)
    (machine.root.path / "work" / "go").touch()
    ends(folder, state)


def test_a_stop_that_was_announced_and_never_came(machine):
    waiting = "until [ -e go ]; do sleep 0.02; done"
    folder = machine.start("L1", *shell(f"echo up; {waiting}; exit 74"))
    prints(folder, "up")
    folder.announce_stop(5.0)
    long_ago = time.time() - 60
    os.utime(folder.path / "stop.json", (long_ago, long_ago))
    (machine.root.path / "work" / "go").touch()
    ends(folder, "failed")


def test_what_may_be_started_again_is_not_while_a_stop_is_coming(machine):
    waiting = "until [ -e go ]; do sleep 0.02; done"
    folder = machine.start(
        "L1", *shell(f"echo up; {waiting}; exit 74"), restart={"codes": [74], "signals": False}
    )
    prints(folder, "up")
    folder.announce_stop(5.0)
    (machine.root.path / "work" / "go").touch()
    assert ends(folder, "stopped").restarts == 0


def test_a_process_that_does_not_stop_is_killed_with_all_that_it_has_started(machine):
    child = f"(trap '' TERM; echo child; {FOREVER}) & "
    folder = machine.start("L1", *shell(f"trap '' TERM; {child} echo up $!; {FOREVER}"))
    eventually(lambda: len(log(folder)) == 2, "output")
    (number,) = [int(line.split()[1]) for _, line in log(folder) if line.startswith("up")]
    started = time.monotonic()
    stop_all([folder], 0.3)
    assert time.monotonic() - started >= 0.3
    state = ends(folder, "stopped")
    assert state.signal == signal.SIGKILL
    assert log(folder)[-1] == ("e", "hostmesh: it did not end in time and is killed")
    eventually(lambda: ended(number), "the end of the child")


def test_who_asks_again_may_be_in_more_of_a_hurry(machine):
    folder = machine.start("L1", *shell(f"trap 'echo asked' TERM; echo up; {FOREVER}"))
    prints(folder, "up")
    folder.ask_to_stop(600.0)
    prints(folder, "asked")
    stop_all([folder], 0.1)
    assert ends(folder, "stopped").signal == signal.SIGKILL
    assert [line for _, line in log(folder)].count("asked") == 1


def test_what_an_earlier_stop_has_left_does_not_count(machine):
    folder = machine.start("L1", *shell(f"echo up; {FOREVER}"))
    prints(folder, "up")
    stop_all([folder], 0.0)
    assert (folder.path / "stop.json").exists()
    again = machine.start("L2", *shell(f"trap 'echo bye; exit 0' TERM; echo again; {FOREVER}"))
    assert not (folder.path / "stop.json").exists()
    prints(again, "again")
    os.kill(again.state().supervisor, signal.SIGTERM)
    assert ends(again, "stopped").exit_code == 0


def test_a_supervisor_that_has_only_just_been_started_is_stopped_too(machine):
    folder = machine.start("L1", *shell(f"echo up; {FOREVER}"))
    stop_all([folder], 5.0)
    launch = machine.root.path / "launches" / "L1" / "launch.json"
    supervisor = folder.start(launch, machine.root.layer(machine.agent))
    assert folder.supervised
    stop_all([folder], 5.0)
    assert supervisor.wait(10) == 0
    assert ends(folder, "stopped").launch == "L1"


def test_a_process_that_is_not_there_is_stopped_at_once(machine):
    folder = ProcessFolder(machine.root.path / "processes" / "7")
    stop_all([folder], 600.0)
    assert folder.state().state == "stopped"
    assert not folder.kill()


# Restarts.


def test_a_process_is_started_again_until_that_is_pointless(machine):
    policy = {"codes": [75], "limit": 2}
    folder = machine.start("L1", *shell("echo run; echo lost >&2; exit 75"), restart=policy)
    seen = set()

    def is_over():
        state = folder.state()
        seen.add((state.state, state.restarts))
        return not folder.supervised

    eventually(is_over, "the end")
    state = ends(folder, "failed")
    assert (state.exit_code, state.restarts, state.tail) == (75, 2, "lost")
    assert [line for kind, line in log(folder) if kind == "o"] == ["run"] * 3
    assert {restarts for name, restarts in seen if name == "failed"} <= {2}
    assert ("starting", 0) in seen
    assert ("starting", 1) in seen


def test_a_killed_process_is_started_again_if_it_may_be(machine):
    policy = {"codes": [], "signals": True}
    folder = machine.start("L1", *shell("echo $$; exec sleep 600"), restart=policy)
    eventually(lambda: folder.state().pid, "the process")
    first = folder.state().pid
    os.kill(first, signal.SIGKILL)
    eventually(lambda: folder.state().pid not in (None, first), "another process")
    state = folder.state()
    assert (state.state, state.restarts) == ("running", 1)
    assert state.uptime_s < 60
    stop_all([folder], 5.0)
    assert ends(folder, "stopped").restarts == 1


def test_a_killed_process_stays_dead_if_it_may_not_be_started(machine):
    folder = machine.start("L1", *shell("exec sleep 600"))
    eventually(lambda: folder.state().pid, "the process")
    os.kill(folder.state().pid, signal.SIGKILL)
    state = ends(folder, "failed")
    assert (state.signal, state.exit_code, state.restarts) == (signal.SIGKILL, None, 0)


def test_a_finished_process_is_never_started_again(machine):
    folder = machine.start("L1", *shell("exit 0"), restart={"codes": [75], "signals": True})
    assert ends(folder, "finished").restarts == 0


def test_a_stop_while_it_waits_to_be_started_again(machine):
    policy = {"codes": [75], "limit": 10}
    folder = machine.start("L1", *shell("echo lost >&2; exit 75"), restart=policy)
    eventually(lambda: folder.state().restarts == 2, "restarts")
    eventually(lambda: folder.state().state == "starting", "a pause")
    stop_all([folder], 30.0)
    assert ends(folder, "stopped").exit_code == 75


ENDS_ONCE = "test -e ended && exec sleep 600; touch ended; read line < gate; exit $line"


def ends_once(machine, code):
    """A process that waits for word, ends with a code, and is patient once it is started again."""
    gate = machine.root.path / "work" / "gate"
    gate.parent.mkdir(parents=True)
    os.mkfifo(gate)
    folder = machine.start("L1", *shell(ENDS_ONCE), lost_codes=[74, 77])
    return folder, lambda: gate.write_text(f"{code}\n")


@pytest.mark.parametrize("code", [69, 74, 77])
def test_what_was_put_back_is_started_again_if_it_loses_its_peers_or_its_network(machine, code):
    folder, end = ends_once(machine, code)
    folder.note_put_back()
    end()
    eventually(lambda: folder.state().restarts == 1, "another start")
    eventually(lambda: folder.state().pid, "the process")
    stop_all([folder], 30.0)
    assert ends(folder, "stopped").restarts == 1


@pytest.mark.parametrize(("code", "age"), [(70, 0), (69, 181), (74, 181), (74, None)])
def test_what_else_ends_is_not(machine, code, age):
    """Its failure has another reason, or was long after, or there was no change at all."""
    folder, end = ends_once(machine, code)
    if age is not None:
        folder.note_put_back()
        when = time.time() - age
        os.utime(folder.path / "put-back.json", (when, when))
    end()
    assert ends(folder, "failed").restarts == 0


def test_nothing_is_left_of_that_for_the_next_launch(machine):
    folder, _ = ends_once(machine, 74)
    folder.note_put_back()
    stop_all([folder], 30.0)
    machine.start("L2", *shell("exit 74"), lost_codes=[74])
    assert ends(folder, "failed").restarts == 0


# Death.


def everyone(folder):
    """Wait for a family of three; give their process IDs."""
    numbers = [int(line.removeprefix("pid ")) for _, line in log(folder)]
    return numbers if len(numbers) == 3 else None


FAMILY = (
    "import os, signal, time\n"
    "for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):\n"
    "    signal.signal(number, signal.SIG_IGN)\n"
    "os.fork() and os.fork()\n"
    "os.write(1, b'pid %d\\n' % os.getpid())\n"
    "time.sleep(600)\n"
)


def test_a_killed_supervisor_takes_its_process_and_what_that_started_along(machine):
    folder = machine.start("L1", *script(FAMILY))
    eventually(lambda: everyone(folder), "three processes")
    numbers = everyone(folder)
    killed = time.monotonic()
    assert folder.kill()
    eventually(lambda: folder.state().state == "failed", "the truth", 2.0)
    eventually(lambda: all(map(ended, numbers)), "the end of all", 2.0)
    assert time.monotonic() - killed < 2.0
    state = folder.state()
    assert (state.signal, state.exit_code, state.pid) == (signal.SIGKILL, None, None)
    assert state.note == "its supervisor was killed, and it with it"
    assert not state.supervised


def test_process_and_supervisor_killed_at_once(machine):
    folder = machine.start("L1", *script(FAMILY), restart={"codes": [], "signals": True})
    eventually(lambda: everyone(folder), "three processes")
    numbers = everyone(folder)
    os.kill(folder.state().pid, signal.SIGKILL)
    folder.kill()
    eventually(lambda: not folder.supervised, "the end", 2.0)
    assert folder.state().state == "failed"
    eventually(lambda: all(map(ended, numbers)), "the end of all", 2.0)


def test_after_a_death_it_can_be_started_again(machine):
    folder = machine.start("L1", *shell("exec sleep 600"))
    folder.kill()
    eventually(lambda: not folder.supervised, "the end")
    again = machine.start("L2", *shell("echo again"))
    state = ends(again, "finished")
    assert (state.launch, state.note, state.signal) == ("L2", "", None)


def test_children_end_with_the_process(machine):
    folder = machine.start("L1", *shell("sleep 600 & echo $!; exit 3"))
    state = ends(folder, "failed")
    assert state.exit_code == 3
    (number,) = [int(line) for _, line in log(folder)]
    assert ended(number)


def test_a_killed_guard_does_not_end_the_process(machine):
    folder = machine.start("L1", *shell(f"trap 'exit 0' TERM; echo up; {FOREVER}"))
    prints(folder, "up")
    state = folder.state()
    (guard,) = (
        int(each)
        for each in Path(f"/proc/{state.supervisor}/task/{state.supervisor}/children")
        .read_text()
        .split()
        if int(each) != state.pid
    )
    os.kill(guard, signal.SIGKILL)
    eventually(lambda: ended(guard), "the end of the guard")
    assert folder.state().state == "running"
    stop_all([folder], 10.0)
    assert ends(folder, "stopped").exit_code == 0


# Output.


def test_secrets_are_not_in_the_log(machine):
    secrets = {"TOKEN": "hunter22", "LONGER": "hunter22-and-more", "PIN": "123"}
    secrets["KEY"] = "-----BEGIN-----\nabc\\def\n-----END-----\n"
    words = 'echo "$TOKEN $LONGER $PIN"; echo "a $TOKEN" >&2; echo "$KEY"; '
    # As Python shows it in the error of a key that is not there, and JSON in a line.
    words += "printf '%s\\n' 'KeyError: abc\\\\def'; exit 1"
    folder = machine.start("L1", *shell(words), secrets=secrets)
    state = ends(folder, "failed")
    assert sorted(log(folder)) == [
        ("e", "a [secret TOKEN]"),
        ("o", ""),
        ("o", "KeyError: [secret KEY]"),
        ("o", "[secret KEY]"),
        ("o", "[secret KEY]"),
        ("o", "[secret KEY]"),
        ("o", "[secret TOKEN] [secret LONGER] 123"),
    ]
    assert state.tail == "a [secret TOKEN]"
    for path in folder.path.rglob("*"):
        if path.is_file():
            assert b"hunter22" not in path.read_bytes()


def test_nothing_is_open_to_others(machine):
    folder = machine.start("L1", *shell("umask; echo > file; exit 1"), secrets={"A": "bcdef"})
    ends(folder, "failed")
    assert log(folder)[0] == ("o", "0077")
    made = [*folder.path.rglob("*"), machine.root.path / "work" / "file"]
    assert [each for each in made if each.stat().st_mode & 0o077] == []


def test_a_process_that_closes_its_output_and_goes_on(machine):
    folder = machine.start("L1", *shell("echo up; exec >&- 2>&-; sleep 0.1; exit 7"))
    assert ends(folder, "failed").exit_code == 7
    assert log(folder) == [("o", "up")]


def test_a_grandchild_that_keeps_the_pipe_open_holds_nothing_up(machine):
    text = (
        "import os, sys, time\n"
        "if os.fork():\n"
        "    sys.stdout.write('unfinished')\n"
        "    sys.stdout.flush()\n"
        "    os._exit(5)\n"
        "os.setsid()\n"
        "time.sleep(600)\n"
    )
    folder = machine.start("L1", *script(text))
    assert ends(folder, "failed").exit_code == 5
    assert log(folder) == [("o", "unfinished")]


def test_a_grandchild_that_writes_for_ever_holds_nothing_up(machine):
    text = (
        "import os\n"
        "if os.fork():\n"
        "    os._exit(5)\n"
        "os.setsid()\n"
        "while True: os.write(1, b'again and again\\n' * 100)\n"
    )
    folder = machine.start("L1", *script(text))
    assert ends(folder, "failed").exit_code == 5


def test_bytes_that_are_no_text(machine):
    folder = machine.start("L1", *shell(r"printf '\377\000\033[31m\r\n' >&2; exit 1"))
    state = ends(folder, "failed")
    assert log(folder) == [("e", "\udcff\0\x1b[31m")]
    assert state.tail == "\ufffd\0\x1b[31m"


# What a process is given.


def test_words_and_variables_arrive_unchanged(machine):
    # The log would not show the secret.
    text = "import json, os, sys; env = dict(os.environ); "
    text += "env['SECRET'] = env['SECRET'].encode().hex(); "
    text += "print(json.dumps([sys.argv[1:], env]))"
    env = {f"ODD_{number}": word for number, word in enumerate(ODD)}
    secret = "s3 '\"$(touch evil)\nä"
    folder = machine.start("L1", *script(text), *ODD, env=env, secrets={"SECRET": secret})
    ends(folder, "finished")
    words, variables = json.loads(log(folder)[0][1])
    assert words == ODD
    assert {name: variables[name] for name in env} == env
    assert bytes.fromhex(variables["SECRET"]).decode() == secret
    assert not list(machine.root.path.rglob("evil"))


def test_words_that_are_no_text(machine):
    text = "import os, sys; print(list(map(os.fsencode, sys.argv[1:])))"
    folder = machine.start("L1", *script(text), "\udcff")
    ends(folder, "finished")
    assert log(folder) == [("o", "[b'\\xff']")]


def test_a_process_begins_with_plain_signals_and_no_files(machine):
    text = (
        "import os\n"
        "for line in open('/proc/self/status'):\n"
        "    if line.startswith(('SigBlk', 'SigIgn')): print(*line.split())\n"
        "fds = os.listdir('/proc/self/fd')\n"
        "fds = [int(each) for each in fds if os.path.exists(f'/dev/fd/{each}')]\n"
        "print(sorted(fds), os.readlink('/proc/self/fd/0'))\n"
        "print(os.getsid(0) == os.getpid())\n"
    )
    ignored = (signal.SIGUSR1, signal.SIGQUIT, signal.SIGHUP)
    before = [signal.signal(number, signal.SIG_IGN) for number in ignored]
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGCHLD})
    extra = os.open("/dev/null", os.O_RDONLY)
    os.set_inheritable(extra, True)
    try:
        # A shell would show what Python changes for itself.
        program = f'exec {sys.executable} -S -c "$0"; '
        folder = machine.start("L1", *shell("grep -E 'SigBlk|SigIgn' /proc/self/status"), number=1)
        other = machine.start("L2", "/bin/sh", "-c", program, text)
    finally:
        os.close(extra)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM, signal.SIGCHLD})
        for number, handler in zip(ignored, before, strict=True):
            signal.signal(number, handler)
    ends(folder, "finished")
    # The lowest 31; real-time signals, which who runs the tests may ignore, are nobody's here.
    masks = [int(line.split()[1], 16) & 0x7FFFFFFF for _, line in log(folder)]
    assert masks == [0, 0]
    ends(other, "finished")
    assert log(other)[-2:] == [("o", "[0, 1, 2] /dev/null"), ("o", "True")]


# What goes wrong.


@pytest.mark.parametrize(
    ("words", "more", "reason"),
    [
        (["/no/such/program"], {}, "No such file or directory: '/no/such/program'"),
        (["/etc/passwd"], {}, "Permission denied: '/etc/passwd'"),
        (["/bin/true", "a\0b"], {}, "embedded null byte"),
        (["/bin/true"], {"cwd": "/etc/passwd/x"}, "Not a directory: '/etc/passwd/x'"),
        (["/bin/true"], {"cwd": "/etc/passwd"}, "File exists: '/etc/passwd'"),
    ],
)
def test_what_cannot_be_started(machine, words, more, reason):
    folder = machine.start("L1", *words, **more)
    state = ends(folder, "failed")
    assert state.exit_code == 127
    assert state.tail.startswith(f"hostmesh: cannot start {words[0]}: ")
    assert state.tail.endswith(reason)


def test_two_supervisors_of_one_process(machine):
    machine.start("L1", *shell("exec sleep 600"))
    with pytest.raises(RemoteError) as caught:
        machine.start("L2", *shell("exec sleep 600"))
    assert (caught.value.exit_code, caught.value.problem) == (70, "process 0 still runs")


def test_a_log_that_cannot_be_written(machine):
    folder = machine.root.path / "processes" / "0"
    folder.mkdir(parents=True)
    (folder / "log").touch()
    with pytest.raises(RemoteError) as caught:
        machine.start("L1", *shell("echo"))
    assert caught.value.exit_code == 73
    assert "cannot write the state of a process: File exists" in caught.value.problem
    assert not ProcessFolder(folder).supervised


def test_a_supervisor_whose_code_is_gone(machine):
    machine.agent = "0" * 64
    with pytest.raises(RemoteError) as caught:
        machine.start("L1", *shell("echo"))
    assert caught.value.exit_code == 70
    assert "did not start" in caught.value.problem
    assert "No module named" in caught.value.problem


def test_a_damaged_state_is_none(machine):
    folder = machine.start("L1", *shell("exit 0"))
    ends(folder, "finished")
    (folder.path / "state.json").write_text("{")
    assert folder.state().state == "stopped"


def test_a_start_between_two_looks_is_no_failure(machine, monkeypatch):
    """The lock is looked at first, and by the time that the state is read there is another."""
    folder = machine.start("L1", *shell("exec sleep 600"))
    eventually(lambda: folder.state().pid, "the process")
    answers = [False]
    stale = property(lambda self: answers.pop() if answers else is_locked(self.path / "lock"))
    monkeypatch.setattr(ProcessFolder, "supervised", stale)
    assert folder.state().state == "running"


def test_where_the_log_of_this_start_begins(machine):
    ends(machine.start("L1", *shell("echo before")), "finished")
    folder = machine.start("L2", *shell("echo after"))
    ends(folder, "finished")
    start = loads(folder.path / "state.json")["log_start"]
    ((data, _),) = read(folder.log, tuple(start))
    assert text(data).strip() == "after"


def test_a_process_is_asked_to_end_by_the_signal_of_its_runtime(machine):
    words = "trap 'exit 70' TERM; trap 'echo asked; exit 0' INT; echo ready; "
    words += "while :; do sleep 0.1; done"
    folder = machine.start("L1", *shell(words), stop_signal=signal.SIGINT)
    prints(folder, "ready")
    stop_all([folder], 20.0)
    assert ends(folder, "stopped").exit_code == 0
    prints(folder, "asked")
