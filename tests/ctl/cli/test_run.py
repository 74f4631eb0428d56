"""`ctl run`: whole outputs and exit codes, for real."""

import re
import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest

from tests.engine.running import Launcher, Running, eventually, launcher
from tests.engine.test_cluster_failures import FAILING, QUIET

CTL = "from ctl.cli import main; main()"

FLOW = """
import engine.operators as op
from engine.connectors.stdio import StdOutSink
from engine.dataflow import Dataflow
from engine.testing import TestingSource
flow = Dataflow("double")
nums = op.input("inp", flow, TestingSource([1, 2, 3]))
op.output("out", op.map("say", nums, lambda x: f"{2 * x}"), StdOutSink())
"""


@pytest.fixture
def here(tmp_path) -> Iterator[Launcher]:
    with launcher(tmp_path) as started:
        yield started


def ctl(here: Launcher, *words: object) -> str:
    return shown(here, here.python("-c", CTL, *words, ENGINE_LOG_LEVEL="WARNING"))


def shown(here: Launcher, running: Running) -> str:
    code = running.code()
    text = f"{running.out}--- stderr\n{running.err}--- exit {code}\n"
    filters = (
        (re.escape(str(here.folder)), "[folder]"),
        (r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3}Z", "[time]"),
        (r"\(host [^)]*\)", "(host [host])"),
        (r"127\.0\.0\.1:\d+", "127.0.0.1:[port]"),
        (r"pid \d+", "pid [pid]"),
        (r"(worker|process) [01]", r"\1 [n]"),
        (r"^ +[~^]+\n", ""),
    )
    for pattern, mark in filters:
        text = re.sub(pattern, mark, text, flags=re.MULTILINE)
    return text


def test_lines_say_which_process_they_are_from(here):
    here.write("flow.py", "print('loaded')\n" + FLOW)
    text = ctl(here, "run", "flow.py", "-p", "2")
    body, _, end = text.partition("--- stderr\n")
    assert sorted(re.sub(r"^\d \| (\d)$", r"\1", body, flags=re.MULTILINE).splitlines()) == [
        "0 | loaded",
        "1 | loaded",
        "2",
        "4",
        "6",
    ]
    assert end == "--- exit 0\n"


def test_one_process_needs_no_prefix(here):
    here.write("flow.py", FLOW)
    assert ctl(here, "run", "flow.py") == "2\n4\n6\n--- stderr\n--- exit 0\n"


def test_a_failure_of_user_code(here):
    here.write("flow.py", FAILING)
    assert ctl(here, "run", "flow.py", "-p", "2") == (
        "--- stderr\n"
        "error: flow failed in step 'endless.check' on worker [n] of process [n] "
        "(host [host]) at [time]\n"
        "  LookupError: item twenty is bad\n"
        "Traceback (most recent call last):\n"
        '  File "[folder]/flow.py", line 29, in fail\n'
        '    raise LookupError("item twenty is bad")\n'
        "LookupError: item twenty is bad\n"
        "exit 70\n"
        "--- exit 70\n"
    )


def test_a_killed_process(here):
    here.write("flow.py", "import os\nos.kill(os.getpid(), 9)\n")
    assert ctl(here, "run", "flow.py") == (
        "--- stderr\n"
        "error: flow failed in process [n] (host [host]) at [time]\n"
        "  PeerLostError: lost process [n] at localhost: pid [pid] killed by SIGKILL\n"
        "exit 74\n"
        "--- exit 74\n"
    )


def test_a_flow_that_is_not_there(here):
    assert ctl(here, "run", "flow.py", "-p", "2") == (
        "--- stderr\n"
        "error: flow file flow.py does not exist; looked for [folder]/flow.py\n"
        "--- exit 66\n"
    )


@pytest.mark.parametrize("code", [2, 64])
def test_an_exit_code_is_passed_on_as_it_is(here, code):
    here.write("flow.py", f"import os\nos._exit({code})\n")
    assert ctl(here, "run", "flow.py").endswith(f"--- exit {code}\n")


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("run",), "Missing argument 'FLOW'"),
        (("run", "flow.py", "-p", "0"), "-p"),
        (("run", "flow.py", "--nope"), "--nope"),
        (("nope",), "No such command 'nope'"),
    ],
)
def test_a_usage_error(here, words, sentence):
    text = ctl(here, *words)
    assert text.endswith("--- exit 64\n")
    assert sentence in text


def test_the_version(here):
    from engine import __version__

    assert ctl(here, "--version") == f"hostmesh {__version__}\n--- stderr\n--- exit 0\n"


def test_help_lists_the_commands(here):
    text = ctl(here, "--help")
    assert re.search("run +Run a dataflow on this machine; Ctrl-C stops it in order.", text)
    assert "--install-completion" in text


def test_ctrl_c_stops_it_in_order(here):
    here.write("flow.py", QUIET)
    running = here.python("-c", CTL, "run", "flow.py", "-p", "2", ENGINE_LOG_LEVEL="WARNING")
    eventually(lambda: running.out.count("running") == 2 or running.ended, "both run")
    running.send(signal.SIGINT)
    assert shown(here, running).endswith("running\n--- stderr\n--- exit 130\n")


def test_health_of_each_process(here):
    here.write("flow.py", QUIET)
    running = here.python("-c", CTL, "run", "flow.py", "-p", "2", "--health", "a/health")
    eventually(lambda: running.out.count("running") == 2 or running.ended, "both run")
    for process in (0, 1):
        words = [sys.executable, "-m", "engine.health", f"a/health/{process}.sock"]
        asked = subprocess.run(
            words, cwd=here.folder, capture_output=True, text=True, timeout=30, check=False
        )
        assert "running" in asked.stdout, asked.stderr
    running.send(signal.SIGTERM)
    assert running.code() == 0
