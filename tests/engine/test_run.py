"""`python -m engine.run`: whole outputs and exit codes, for real."""

import re
import signal

import pytest

from tests.engine.running import Launcher, Running

FLOW = """
import os
import engine.operators as op
from engine.connectors.stdio import StdOutSink
from engine.dataflow import Dataflow
from engine.testing import TestingSource
flow = Dataflow("double")
nums = op.input("inp", flow, TestingSource([1, 2, 3]))
op.output("out", op.map("say", nums, lambda x: f"{2 * x}"), StdOutSink())
"""

NO_OUTPUT = FLOW.rpartition("op.output")[0]

SLOW_TO_LOAD = """
import threading
print("loading", flush=True)
threading.Event().wait()
"""


def run(start: Launcher, *words: object, **env: str) -> str:
    return shown(start, start.python("-m", "engine.run", *words, **env))


def shown(start: Launcher, running: Running) -> str:
    code = running.code()
    text = f"{running.out}--- stderr\n{running.err}--- exit {code}\n"
    text = text.replace(str(start.folder), "[folder]")
    return re.sub(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3}Z", "[time]", text)


def test_one_process(start):
    start.write("flow.py", FLOW)
    assert run(start, "flow.py") == "2\n4\n6\n--- stderr\n--- exit 0\n"


def test_a_module_with_two_workers(start):
    start.write("double.py", FLOW)
    assert run(start, "double", "-w", "2") == "2\n4\n6\n--- stderr\n--- exit 0\n"


def test_check(start):
    start.write("flow.py", FLOW)
    assert run(start, "flow.py", "--check") == (
        "flow.py: dataflow 'double' is well formed: 3 steps, 1 stage, 1 input, 1 output\n"
        "--- stderr\n--- exit 0\n"
    )


@pytest.mark.parametrize("words", [("--check",), (), ("-p", "2")])
def test_a_flow_without_output(start, words):
    start.write("flow.py", NO_OUTPUT)
    assert run(start, "flow.py", *words) == (
        "--- stderr\n"
        "error: step 'double': the dataflow has no output. "
        "End it with `engine.operators.output`.\n"
        "--- exit 65\n"
    )


@pytest.mark.parametrize("words", [("--check",), (), ("-p", "2")])
def test_no_such_file(start, words):
    assert run(start, "flow.py", *words) == (
        "--- stderr\n"
        "error: flow file flow.py does not exist; looked for [folder]/flow.py\n"
        "--- exit 66\n"
    )


@pytest.mark.parametrize("words", [("--check",), (), ("-p", "2")])
def test_an_exception_at_import_shows_the_users_traceback_only(start, words):
    start.write("flow.py", "def boom():\n    1 / 0\n\nboom()\n")
    text = run(start, "flow.py", *words)
    # Python 3.13 has other marks below the lines.
    text = re.sub(r"^ +[~^]+\n", "", text, flags=re.MULTILINE)
    assert text == (
        "--- stderr\n"
        "Traceback (most recent call last):\n"
        '  File "[folder]/flow.py", line 4, in <module>\n'
        "    boom()\n"
        '  File "[folder]/flow.py", line 2, in boom\n'
        "    1 / 0\n"
        "ZeroDivisionError: division by zero\n"
        "error: flow.py failed while it was loaded: ZeroDivisionError: division by zero\n"
        "--- exit 65\n"
    )


def test_a_usage_error(start):
    assert run(start, "flow.py", "-i", "1") == (
        "--- stderr\n"
        "error: -i needs -a, the addresses of all processes; for a cluster on this machine only, "
        "use -p\n"
        "--- exit 64\n"
    )


def test_a_bad_configuration(start):
    text = run(start, "flow.py", "-i", "1", "-a", "127.0.0.1:9000")
    assert text == (
        "--- stderr\n"
        "error: process id 1 is not in the address list, whose ids are 0 to 0\n"
        "--- exit 78\n"
    )


def test_a_bad_log_level(start):
    start.write("flow.py", FLOW)
    text = run(start, "flow.py", "--log-level", "LOUD")
    assert text.startswith("--- stderr\nerror: log level 'LOUD' does not exist")
    assert text.endswith("--- exit 78\n")


def test_the_version(start):
    from engine import __version__

    assert run(start, "--version") == f"hostmesh {__version__}\n--- stderr\n--- exit 0\n"


def test_a_bug_of_ours_says_so(start):
    start.write("flow.py", FLOW)
    start.write(
        "broken.py",
        "import sys\nimport engine.run_process\nfrom engine.run import main\n"
        "def run_process(flow, settings):\n    raise LookupError('lost it')\n"
        "engine.run_process.run_process = run_process\nsys.exit(main(['flow.py']))\n",
    )
    running = start.python("broken.py")
    assert running.code() == 1
    assert "in run_process" in running.err
    assert running.err.endswith(
        "LookupError: lost it\nerror: LookupError: this is a bug in hostmesh\n"
    )


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 0)], ids=["SIGINT", "SIGTERM"]
)
def test_a_signal_while_the_flow_is_loaded(start, number, code):
    start.write("flow.py", SLOW_TO_LOAD)
    running = start.python("-m", "engine.run", "flow.py")
    running.prints("loading")
    running.send(number)
    assert shown(start, running) == f"loading\n--- stderr\n--- exit {code}\n"


def test_user_code_does_not_see_the_secret(start):
    start.write("flow.py", FLOW + "\nprint('ENGINE_SECRET' in os.environ)\n")
    text = run(start, "flow.py", "--check", ENGINE_SECRET="sesame")
    assert text.startswith("False\n")


def test_a_file_finds_modules_of_its_own_folder_only(start):
    (start.folder / "deep").mkdir()
    start.write("deep/flow.py", FLOW + "\nimport beside\n")
    start.write("beside.py", "")
    for words in ((), ("-p", "2")):
        text = run(start, "deep/flow.py", *words)
        assert "error: deep/flow.py failed while it was loaded: ModuleNotFoundError" in text


def test_a_single_process_imports_nothing_heavy(start):
    start.write("flow.py", FLOW)
    start.write(
        "lean.py",
        "import sys\nfrom engine.run import main\ncode = main(['flow.py'])\n"
        "heavy = 'asyncio ctypes http.server prometheus_client rich ssl subprocess typer'\n"
        "print(set(heavy.split()) & set(sys.modules), code)\n",
    )
    running = start.python("-I", "lean.py")
    assert running.code() == 0
    assert running.out == "2\n4\n6\nset() 0\n"


def test_a_lost_launcher_ends_a_process(start):
    """A process whose launcher was gone before it could ask to die with it."""
    start.write("flow.py", SLOW_TO_LOAD)
    start.write(
        "orphan.py",
        "import os, sys\n"
        "fd, writer = os.pipe()\n"
        "os.close(writer)\n"
        "os.set_inheritable(fd, True)\n"
        "os.setsid()\n"
        "words = [sys.executable, '-m', 'engine.run', f'--parent-fd={fd}', 'flow.py']\n"
        "os.execv(sys.executable, words)\n",
    )
    assert start.python("orphan.py").code() == -signal.SIGKILL


def test_descriptors_of_the_launcher_are_not_for_what_user_code_starts(start):
    start.write(
        "flow.py",
        FLOW + "\nprint([f for f in range(3, 64) if os.path.exists(f'/proc/self/fd/{f}')"
        " and os.get_inheritable(f)])\n",
    )
    text = run(start, "flow.py", "-p", "2")
    assert text.count("[]\n") == 2


UNFINISHED_LINES = FLOW.replace(
    "import os",
    """
import sys
def boom(x):
    sys.stdout.write("no end")
    sys.stderr.write("no end")
    raise ValueError("boom")
""",
).replace('lambda x: f"{2 * x}"', "boom")


@pytest.mark.parametrize("words", [(), ("-p", "2")])
def test_the_failure_is_last_and_starts_a_line(start, words):
    start.write("flow.py", UNFINISHED_LINES)
    running = start.python("-m", "engine.run", "flow.py", *words)
    assert running.code() == 70
    before, _, block = running.err.partition("error: flow failed in step 'double.say'")
    assert before.endswith("no end\n")
    assert block.endswith("ValueError: boom\nexit 70\n")


def test_a_process_of_a_cluster_shows_lines_as_they_are_printed(start):
    start.write("flow.py", SLOW_TO_LOAD.replace(", flush=True", ""))
    words = ("-i", "0", "-a", "127.0.0.1:9000")
    running = start.python("-m", "engine.run", "flow.py", *words, PYTHONUNBUFFERED="")
    running.prints("loading", 10)
    running.send(signal.SIGTERM)
    assert running.code() == 0


@pytest.mark.parametrize(("step", "code"), [("2 * x", 0), ("x / 0", 70)], ids=["done", "failed"])
@pytest.mark.parametrize("late", ["atexit.register(end)", "Late()"], ids=["atexit", "finalizer"])
def test_sigterm_after_the_run_keeps_its_exit_code(start, late, step, code):
    """As when the peers have ended the run before the signal came."""
    start.write(
        "flow.py",
        f"""{FLOW.replace("2 * x", step)}
import atexit
import signal
import sys

def end(write=os.write, raise_signal=signal.raise_signal, number=signal.SIGTERM):
    write(1, b"leaving\\n")
    raise_signal(number)

class Late:
    def __del__(self, end=end):
        end()

sys.kept = {late}
""",
    )
    running = start.python("-m", "engine.run", "flow.py")
    assert running.code() == code
    assert "leaving\n" in running.out


def test_nobody_reads_what_a_flow_prints(start):
    """What Python says of that comes once, and last."""
    flow = FLOW.replace('lambda x: f"{2 * x}"', "print").replace("StdOutSink()", "TestingSink([])")
    start.write(
        "flow.py", flow.replace("import TestingSource", "import TestingSink, TestingSource")
    )
    start.write(
        "unread.py",
        "import subprocess, sys\n"
        "words = [sys.executable, '-m', 'engine.run', 'flow.py']\n"
        "with open('/dev/full', 'w') as full:\n"
        "    sys.exit(subprocess.run(words, stdout=full).returncode)\n",
    )
    running = start.python("unread.py", PYTHONUNBUFFERED="")
    assert running.code() == 120
    assert running.err.count("No space left on device") == 1, running.err
    assert "Traceback" not in running.err
