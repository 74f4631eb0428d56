"""`ctl deploy`: whole outputs and exit codes."""

import json
import os
import pty
import re
import subprocess
import sys
import textwrap
from dataclasses import replace

import pytest

from ctl.errors import (
    BusyError,
    HostsError,
    InventoryError,
    UnreachableError,
    VersionError,
)
from ctl.status import ProcessStatus
from tests.ctl.cli.fakes import line

SUMMARY = """\
flights  release 7c1e2a → 3 hosts, 4 processes
  ✓ check  ✓ push 41 kB  ✓ switch  ✓ ready
Running in 1.8 s.  Next: ctl logs -f
"""

WRONG_PYTHON = HostsError(
    "flights not deployed; release 55d0b1 still runs",
    {
        "gamma": VersionError(
            "Python 3.13.5, the others 3.11.2", 'python = "python3.11" for gamma'
        ),
    },
    "nothing was changed",
)


def test_a_deploy(run_ctl, fake):
    assert run_ctl("deploy", "fleet.toml", "flow.py") == f"--- stderr\n{SUMMARY}--- exit 0\n"
    assert fake.calls == [
        (
            "load",
            {"path": "fleet.toml", "host_keys": "strict", "connect_timeout": 10.0, "ask": None},
        ),
        ("deploy", {"flow": "flow.py", "insecure": False}),
    ]
    assert fake.closed


def test_options_arrive(run_ctl, fake):
    run_ctl(
        "deploy",
        "fleet.toml",
        "flow.py:build('a b')",
        "--insecure",
        "--accept-new-host-keys",
        "--connect-timeout",
        "3",
    )
    (_, loaded), (_, deployed) = fake.calls
    assert (loaded["host_keys"], loaded["connect_timeout"]) == ("accept-new", 3.0)
    assert deployed == {"flow": "flow.py:build('a b')", "insecure": True}


def test_phases_are_lines_where_nobody_looks_at_a_terminal(run_ctl, fake):
    fake.trace = [
        ("phase", "connect", None, "started"),
        ("phase", "connect", "alpha", "started"),
        ("phase", "connect", "alpha", "done"),
        ("phase", "connect", "beta", "done"),
        ("note", "beta: put back what a cut-off deploy had left"),
        ("pushed", "alpha", 10_000, 41_234),
        ("pushed", "alpha", 41_234, 41_234),
        ("phase", "push", "alpha", "done"),
        ("warn", "the clock of beta is 3 s behind"),
        ("phase", "ready", "beta", "failed", "exit 70"),
        ("phase", "ready", None, "failed"),
    ]
    assert run_ctl("deploy", "fleet.toml", "flow.py") == (
        "--- stderr\n"
        "alpha  ✓ connect\n"
        "beta   ✓ connect\n"
        "beta: put back what a cut-off deploy had left\n"
        "alpha  ✓ push  41 kB\n"
        "warning: the clock of beta is 3 s behind\n"
        "beta   ✗ ready  exit 70\n"
        f"{SUMMARY}--- exit 0\n"
    )


def test_hosts_that_fail_are_named_with_what_to_do(run_ctl, fake):
    fake.deployed = WRONG_PYTHON
    assert run_ctl("deploy", "fleet.toml", "flow.py") == (
        "--- stderr\n"
        "error: flights not deployed; release 55d0b1 still runs\n"
        "  gamma  Python 3.13.5, the others 3.11.2\n"
        '         fix: python = "python3.11" for gamma\n'
        "exit 76; nothing was changed\n"
        "--- exit 76\n"
    )
    assert fake.closed


def test_any_other_error_is_one_too(run_ctl, fake):
    fake.deployed = BusyError("ann is deploying flights from box since 18:39 UTC", "try again")
    assert run_ctl("deploy", "fleet.toml", "flow.py") == (
        "--- stderr\n"
        "error: ann is deploying flights from box since 18:39 UTC\n"
        "  fix: try again\n"
        "--- exit 75\n"
    )


def test_json(run_ctl, fake):
    out, _, rest = run_ctl("deploy", "fleet.toml", "flow.py", "--json").partition("--- stderr\n")
    assert json.loads(out) == {
        "schema": 1,
        "deployment": "flights",
        "release": "7c1e2a" + "0" * 58,
        "hosts": 3,
        "processes": 4,
        "pushed_bytes": 41_234,
        "seconds": 1.84,
        "state": "running",
        "failed": [],
        "exit_code": 0,
    }
    assert rest == f"{SUMMARY}--- exit 0\n"


def test_what_fails_right_after_it_was_ready_is_told(run_ctl, fake):
    process = ProcessStatus(
        1, "beta", "b:9000", "failed", exit_code=70, last_error="LookupError: no roses"
    )
    fake.deployed = replace(fake.deployed, state="failed", failed=(process,), exit_code=70)
    assert run_ctl("deploy", "fleet.toml", "flow.py") == (
        "--- stderr\n"
        "flights  release 7c1e2a → 3 hosts, 4 processes\n"
        "  ✓ check  ✓ push 41 kB  ✓ switch  ✓ ready\n"
        "process 1 (beta) failed: exit 70: LookupError: no roses\n"
        "Failed in 1.8 s.  Next: ctl logs -f\n"
        "--- exit 70\n"
    )


def test_json_of_a_failure_has_all_hosts(run_ctl, fake):
    fake.deployed = HostsError(
        "flights not deployed",
        {"beta": UnreachableError("no SSH answer in 5 s"), **WRONG_PYTHON.failures},
        "nothing was changed",
    )
    text = run_ctl("deploy", "fleet.toml", "flow.py", "--json")
    assert text.endswith("--- exit 69\n")
    assert json.loads(text.partition("--- stderr\n")[0]) == {
        "schema": 1,
        "error": {
            "problem": "flights not deployed",
            "fix": None,
            "exit_code": 69,
            "outcome": "nothing was changed",
            "hosts": [
                {
                    "name": "beta",
                    "problem": "no SSH answer in 5 s",
                    "fix": None,
                    "exit_code": 69,
                },
                {
                    "name": "gamma",
                    "problem": "Python 3.13.5, the others 3.11.2",
                    "fix": 'python = "python3.11" for gamma',
                    "exit_code": 76,
                },
            ],
        },
    }


def test_an_inventory_that_is_wrong(run_ctl, fake):
    fake.loading = InventoryError("fleet.toml:3: no such key: prot", "did you mean port?")
    assert run_ctl("deploy", "fleet.toml", "flow.py") == (
        "--- stderr\n"
        "error: fleet.toml:3: no such key: prot\n"
        "  fix: did you mean port?\n"
        "--- exit 78\n"
    )


def test_following_ends_with_the_exit_code_of_the_flow(run_ctl, fake):
    fake.lines = [line(1, 0, "one"), line(2, 1, "two")]
    fake.code = 70
    assert run_ctl("deploy", "fleet.toml", "flow.py", "--follow") == (
        f"0 alpha | one\n1 beta  | two\n--- stderr\n{SUMMARY}--- exit 70\n"
    )


def test_ctrl_c_while_following_leaves_it_running(run_ctl, fake):
    fake.lines = [line(1, 0, "one"), KeyboardInterrupt()]
    assert run_ctl("deploy", "fleet.toml", "flow.py", "--follow") == (
        f"0 alpha | one\n--- stderr\n{SUMMARY}"
        "error: interrupted; flights goes on; see it with: ctl logs -f, end it with: ctl stop\n"
        "--- exit 130\n"
    )


def test_ctrl_c_while_deploying_says_what_state_things_are_in(run_ctl, fake):
    fake.deployed = KeyboardInterrupt("release 55d0b1 still runs")
    assert run_ctl("deploy", "fleet.toml", "flow.py") == (
        "--- stderr\nerror: interrupted; release 55d0b1 still runs\n--- exit 130\n"
    )
    fake.deployed = KeyboardInterrupt()
    assert run_ctl("deploy", "fleet.toml", "flow.py") == (
        "--- stderr\n"
        "error: interrupted; flights: what hosts had not confirmed is undone by themselves; "
        "look with: ctl status\n"
        "--- exit 130\n"
    )
    assert fake.closed


@pytest.mark.parametrize("words", [["flow.py"], ["pkg.flows:build('x.toml')"]])
def test_one_word_is_the_flow(run_ctl, fake, tmp_path, words):
    (tmp_path / "inventory.toml").write_text("")
    assert run_ctl("deploy", *words).endswith("--- exit 0\n")
    assert fake.calls[0][1]["path"] == "inventory.toml"
    assert fake.calls[1][1]["flow"] == words[0]


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ([], "which dataflow? none is named\n  fix: add it: ctl deploy inventory.toml flow.py"),
        (["a.toml"], "which dataflow? none is named\n  fix: add it: ctl deploy a.toml flow.py"),
        (
            ["flow.py", "a.toml"],
            "the inventory goes before the dataflow\n"
            "  fix: turn them round: ctl deploy a.toml flow.py",
        ),
    ],
)
def test_words_that_make_no_sense(run_ctl, fake, words, sentence):
    assert run_ctl("deploy", *words) == f"--- stderr\nerror: {sentence}\n--- exit 64\n"
    assert not fake.calls


def test_a_flow_alone_needs_an_inventory(run_ctl, fake):
    assert run_ctl("deploy", "flow.py") == (
        "--- stderr\n"
        "error: no inventory: none is named, and there is no inventory.toml in [folder]\n"
        "  fix: name one, set CTL_INVENTORY, or write one with: ctl init\n"
        "--- exit 66\n"
    )


def test_secrets_are_in_nothing_that_is_printed(run_ctl, fake, secrets):
    secrets.hide('hunter2 "quoted"')
    fake.trace = [("warn", 'S3 said: hunter2 "quoted"')]
    fake.deployed = RuntimeError('with hunter2 "quoted" in it')
    text = run_ctl("deploy", "fleet.toml", "flow.py")
    assert "hunter2" not in text
    assert text.startswith("--- stderr\nwarning: S3 said: ***\nTraceback")
    assert text.endswith(
        "RuntimeError: with *** in it\nerror: this is a bug in hostmesh\n--- exit 1\n"
    )
    fake.deployed = UnreachableError('no hunter2 "quoted" here')
    text = run_ctl("deploy", "fleet.toml", "flow.py", "--json")
    assert json.loads(text.partition("--- stderr\n")[0])["error"]["problem"] == "no *** here"
    assert "hunter2" not in text


ON_A_TERMINAL = """
    import sys
    from types import ModuleType
    from threading import Event
    from tests.ctl.cli.fakes import FakeDeployment
    fake = FakeDeployment()
    fake.trace = [
        ("phase", "connect", "alpha", "done"),
        ("phase", "check", "beta", "failed", "Python [red]3.13.5"),
        ("pushed", "alpha", 10_000, 41_234),
        ("note", "a sentence in between"),
    ]
    inner = fake.deploy
    def deploy(flow, **how):
        result = inner(flow, **how)
        # As long as it takes until the lines have been drawn.
        Event().wait(0.5)
        return result
    fake.deploy = deploy
    module = ModuleType("ctl.deployment")
    module.Deployment = fake
    sys.modules["ctl.deployment"] = module
    from ctl.cli import main
    main()
"""


def test_a_terminal_shows_a_line_for_each_host(repository, tmp_path):
    ours, theirs = pty.openpty()
    env = {name: value for name, value in os.environ.items() if name != "NO_COLOR"}
    env |= {"TERM": "xterm-256color", "COLUMNS": "80", "LINES": "24"}
    process = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(ON_A_TERMINAL), "deploy", "a.toml", "flow.py"],
        cwd=repository,
        env={**env, "XDG_STATE_HOME": str(tmp_path)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=theirs,
    )
    os.close(theirs)
    shown = b""
    # The end of a terminal is an error: its other side was closed.
    try:
        while data := os.read(ours, 65536):
            shown += data
    except OSError:
        pass
    finally:
        os.close(ours)
    out, _ = process.communicate(timeout=60)
    text = shown.decode()
    bare = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", text)
    assert (process.returncode, out) == (0, b""), bare
    assert re.search(r"alpha +… push +10 kB of 41 kB", bare), bare
    assert re.search(r"beta +✗ check +Python \[red\]3\.13\.5", bare), bare
    assert "a sentence in between\r\n" in bare
    assert bare.endswith(SUMMARY.replace("\n", "\r\n"))
    # The lines are erased, and the cursor is there again.
    assert "\x1b[2K" in text
    assert text.rindex("\x1b[?25h") > text.rindex("\x1b[?25l")
