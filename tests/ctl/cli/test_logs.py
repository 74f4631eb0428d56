"""`ctl logs`: whole outputs and exit codes."""

import io
import json
import os
import signal
from datetime import UTC, datetime, timedelta

import pytest

from ctl.errors import HostsError, UnreachableError
from tests.ctl.cli.fakes import line
from tests.engine.running import launcher

LINES = [line(1, 0, "one"), line(2, 1, "zwei Wörter"), line(3, 0, "a\x1b[2J\tb")]


def test_lines_have_the_process_and_its_host(run_ctl, fake):
    fake.lines = list(LINES)
    assert run_ctl("logs", "fleet.toml") == (
        "0 alpha | one\n"
        "1 beta  | zwei Wörter\n"
        # Nobody looks at a terminal, so a file gets what was written.
        "0 alpha | a\x1b[2J\tb\n"
        "--- stderr\n"
        "--- exit 0\n"
    )
    assert fake.calls[-1] == (
        "logs",
        {"follow": False, "lines": 100, "since": None, "processes": None, "hosts": None},
    )
    assert fake.closed


def test_json(run_ctl, fake):
    fake.lines = list(LINES)
    out = run_ctl("logs", "fleet.toml", "--json").partition("--- stderr\n")[0]
    assert [json.loads(each) for each in out.splitlines()] == [each.to_json() for each in LINES]


def test_options_arrive(run_ctl, fake):
    run_ctl(
        "logs",
        "fleet.toml",
        *("-f", "-n", "5", "--process", "1", "--process", "0", "--host", "beta"),
    )
    assert fake.calls[-1][1] == {
        "follow": True,
        "lines": 5,
        "since": None,
        "processes": (1, 0),
        "hosts": ("beta",),
    }


def test_a_point_in_time_gives_all_lines_since(run_ctl, fake):
    run_ctl("logs", "fleet.toml", "--since", "10m")
    wanted = fake.calls[-1][1]
    assert wanted["lines"] is None
    ago = datetime.now(UTC) - wanted["since"]
    assert timedelta(minutes=10) <= ago < timedelta(minutes=11)


@pytest.mark.parametrize(
    ("words", "error"),
    [
        (
            ["--process", "2"],
            "there is no process 2 in inventory.toml\n  fix: its processes are 0 to 1",
        ),
        (
            ["--host", "x"],
            "there is no host 'x' in inventory.toml\n  fix: its hosts are alpha, beta",
        ),
        (
            ["--since", "soon"],
            "--since 'soon' is no point in time\n"
            "  fix: say how long ago, such as 10m or 2h, or an ISO time",
        ),
    ],
)
def test_what_is_not_there(run_ctl, fake, words, error):
    assert run_ctl("logs", "fleet.toml", *words) == f"--- stderr\nerror: {error}\n--- exit 64\n"


def test_lines_before_an_error_are_shown(run_ctl, fake):
    failures = {"beta": UnreachableError("no SSH answer in 10 s")}
    fake.lines = [LINES[0], HostsError("not all logs could be read", failures)]
    assert run_ctl("logs", "fleet.toml") == (
        "0 alpha | one\n"
        "--- stderr\n"
        "error: not all logs could be read\n"
        "  beta  no SSH answer in 10 s\n"
        "exit 69\n"
        "--- exit 69\n"
    )


def test_ctrl_c(run_ctl, fake):
    fake.lines = [LINES[0], KeyboardInterrupt()]
    assert run_ctl("logs", "fleet.toml", "-f") == (
        "0 alpha | one\n--- stderr\nerror: interrupted; flights goes on as it was\n--- exit 130\n"
    )
    assert fake.closed


FOLLOWING = """
import sys
from threading import Event
from types import ModuleType
from tests.ctl.cli.fakes import FakeDeployment, line
fake = FakeDeployment()
def logs(**wanted):
    yield line(1, 0, "one")
    Event().wait()
fake.logs = logs
module = ModuleType("ctl.deployment")
module.Deployment = fake
sys.modules["ctl.deployment"] = module
from ctl.cli import main
main()
"""


def test_ctrl_c_while_it_waits_for_lines(repository):
    with launcher(repository) as here:
        running = here.python("-c", FOLLOWING, "logs", "fleet.toml", "-f")
        running.prints("0 alpha | one\n")
        running.send(signal.SIGINT)
        assert running.code() == 130
        assert running.out == "0 alpha | one\n"
        assert running.err == "error: interrupted; flights goes on as it was\n"


def test_a_secret_in_a_line_is_hidden(run_ctl, fake, secrets):
    secrets.hide("hunter2")
    fake.lines = [line(1, 0, "password hunter2!"), line(2, 0, "fine")]
    assert run_ctl("logs", "fleet.toml").startswith("0 alpha | password ***!\n0 alpha | fine\n")
    assert "hunter2" not in run_ctl("logs", "fleet.toml", "--json")


def test_a_reader_that_has_had_enough_is_no_error(run_ctl, fake):
    read_fd, write_fd = os.pipe()
    os.close(read_fd)
    fake.lines = [line(second, 0, "text") for second in range(60)]
    with io.TextIOWrapper(io.FileIO(write_fd, "wb")) as stdout:
        assert run_ctl("logs", "fleet.toml", stdout=stdout) == "--- stderr\n--- exit 0\n"
    assert fake.closed


def test_a_full_disk_is_one(run_ctl, fake):
    fake.lines = list(LINES)
    with open("/dev/full", "w") as full:  # noqa: PTH123 - a stream as the shell gives it
        text = run_ctl("logs", "fleet.toml", stdout=full)
        assert text == (
            "--- stderr\nerror: cannot write to stdout: No space left on device\n--- exit 73\n"
        )
