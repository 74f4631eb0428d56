"""Every operator gives the same on one worker, on several, and on several processes."""

import subprocess
import sys
from collections import defaultdict
from functools import cache
from pathlib import Path

import pytest

from tests.engine.conformance.flow import CASES

FLOW = Path(__file__).with_name("flow.py")
SHAPES = {
    "1 worker": [],
    "2 workers": ["-w", "2"],
    "2 processes": ["-p", "2"],
    "3 processes of 2 workers": ["-p", "3", "-w", "2"],
    "2 processes, an epoch for each poll": ["-p", "2", "--epoch-interval", "0"],
}


@cache
def outputs(shape: str) -> dict[str, list[str]]:
    """By case, the lines that it wrote."""
    words = [sys.executable, "-m", "engine.run", str(FLOW), *SHAPES[shape]]
    done = subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    lines: defaultdict[str, list[str]] = defaultdict(list)
    for line in done.stdout.splitlines():
        name, item = line.split("\t")
        lines[name].append(item)
    return lines


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("name", CASES)
def test_conformance(name: str, shape: str) -> None:
    _, expected = CASES[name]
    assert sorted(outputs(shape)[name]) == sorted(map(repr, expected))
