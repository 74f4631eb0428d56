"""Flows of other engines on this machine, in place."""

from importlib.util import find_spec

import pytest

from tests.fleet.test_runtimes import BROKEN, BYTEWAX, RING

needs_bytewax = pytest.mark.skipif(
    find_spec("bytewax") is None, reason="no bytewax: it has no wheel for this Python"
)


@pytest.fixture
def run_here(command, tmp_path):
    """Runs a flow with `ctl run`."""

    def run(runtime, text, *words):
        (tmp_path / "flow.py").write_text(text)
        return command("ctl", "run", "--runtime", runtime, "flow.py", *words)

    return run


@needs_bytewax
@pytest.mark.parametrize("processes", [1, 2])
def test_a_bytewax_flow(run_here, processes):
    ran = run_here("bytewax", BYTEWAX, "-p", str(processes))
    assert ran.returncode == 0, ran.stderr
    lines = sorted(line[line.index("(") :] for line in ran.stdout.splitlines() if "('" in line)
    assert lines == ["('a', 400)", "('is', 200)", "('rose', 400)"]


@needs_bytewax
def test_a_bytewax_flow_that_fails(run_here):
    ran = run_here("bytewax", BROKEN, "-p", "2")
    assert ran.returncode == 70, ran.stderr
    assert "LookupError: no roses here" in ran.stderr


def test_a_ring_of_commands(run_here):
    ran = run_here("command", RING, "-p", "3")
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.count("the sum is 6") == 3


def test_a_command_that_fails(run_here):
    ran = run_here("command", "raise LookupError('no roses here')")
    assert ran.returncode == 1
    assert "LookupError: no roses here" in ran.stderr
    assert "ended with exit code 1" in ran.stderr
    assert "bug" not in ran.stderr


def test_flags_of_our_engine_are_refused(run_here):
    ran = run_here("bytewax", "", "--epoch-interval", "1")
    assert ran.returncode == 64
    assert "--epoch-interval is a flag of our own engine" in ran.stderr


def test_a_runtime_that_there_is_not(run_here):
    ran = run_here("spark", "")
    assert ran.returncode == 78
    assert "there are engine, bytewax, pathway, command" in ran.stderr
