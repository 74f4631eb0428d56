"""A flow that was built in a notebook runs on a host that has nothing but Python."""

import subprocess
import sys
import threading
from pathlib import Path

import pytest

from ctl.errors import FlowError
from ctl.layers import engine_layer, pickled_flow
from engine import operators as op
from engine.dataflow import Dataflow
from engine.testing import TestingSink, TestingSource
from tests.ctl.layers.conftest import run

NOTEBOOK = """
import enum, sys
from dataclasses import dataclass
from pathlib import Path

import helper
from package.words import say
import engine.operators as op
from engine.connectors.stdio import StdOutSink
from engine.dataflow import Dataflow
from engine.testing import TestingSource
from ctl.layers import pickled_flow
from ctl.remote.root import Root
from ctl.remote.unpack import receive

class Kind(enum.Enum):
    EVEN, ODD = 0, 1

class Outer:
    @dataclass
    class Item:
        number: int
        kind: Kind

FACTOR = 2

def parse(number):
    return str(number), Outer.Item(number * FACTOR, Kind(number % 2))

def show(pair):
    key, item = pair
    assert type(item) is Outer.Item
    return say(f"{key} {helper.NAME} {item.number} {item.kind.name}")

flow = Dataflow("notebook")
nums = op.input("inp", flow, TestingSource(range(8)))
items = op.map("parse", nums, parse)
spread = op.stateful_map("spread", items, lambda state, item: (state, item))
op.output("out", op.map("show", spread, show), StdOutSink())

made = pickled_flow(flow)
print(made.flow, made.python == sys.version_info[:2], file=sys.stderr)
for entry in made.layer.entries:
    print(entry.path, file=sys.stderr)
blocks = made.layer.pack()
root = Root(sys.argv[1])
receive(root, made.layer.digest, lambda: next((block.data for block in blocks), b""))
"""


@pytest.fixture
def notebook(tree, tmp_path):
    """Run a notebook as a script; give what it said and where it put the layer."""
    root = tree(
        {
            "helper.py": "import deeper\nNAME = deeper.NAME",
            "deeper.py": "NAME = 'is'",
            "unused.py": "",
            "package/__init__.py": "",
            "package/words.py": "def say(text): return text.upper()",
            "notebook.py": NOTEBOOK,
        }
    )
    done = subprocess.run(
        [sys.executable, "notebook.py", tmp_path / "host"],
        cwd=root,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    [host] = (tmp_path / "host" / "layers").iterdir()
    return done.stderr, host


def test_it_brings_the_pickle_and_local_modules(notebook):
    said, _ = notebook
    first, *paths = said.splitlines()
    assert first == "shipped_flow.py True"
    assert [path for path in paths if not path.startswith("cloudpickle")] == [
        "deeper.py",
        "flow.pickle",
        "helper.py",
        "package/__init__.py",
        "package/words.py",
        "shipped_flow.py",
    ]
    assert "cloudpickle/__init__.py" in paths


def test_it_runs_on_a_bare_python_and_its_items_cross_the_mesh(notebook, tmp_path, unpack):
    _, host = notebook
    engine = unpack(engine_layer())
    done = run(
        *(sys.executable, "-S", "-P", "-m", "engine.run", "-p2", host / "shipped_flow.py"),
        cwd=tmp_path,
        PYTHONPATH=engine,
        ENGINE_LOG_LEVEL="WARNING",
    )
    assert done.returncode == 0, done.stderr
    lines = [line.partition("] ")[2] or line for line in done.stdout.splitlines()]
    expected = {f"{n} IS {2 * n} {'ODD' if n % 2 else 'EVEN'}" for n in range(8)}
    assert {
        line[line.index(each) :] for line in lines for each in expected if each in line
    } == expected
    assert len(lines) == 8


def test_what_cannot_be_pickled_is_named_with_its_step(tmp_path):
    held = threading.Lock()
    flow = Dataflow("stuck")
    nums = op.input("inp", flow, TestingSource([1]))
    good = op.map("good", nums, lambda x: x)
    bad = op.map("bad", good, lambda x: (held, x))
    op.output("out", bad, TestingSink([]))
    with pytest.raises(
        FlowError, match=r"step 'stuck\.bad' cannot be shipped: TypeError: "
    ) as caught:
        pickled_flow(flow, cwd=tmp_path)
    assert "make what it uses inside of its function" in str(caught.value)


def test_it_takes_what_the_inventory_includes(tree):
    root = tree({"data/a.csv": "1"})
    flow = Dataflow("empty")
    made = pickled_flow(flow, ("data/*",), root, cwd=root)
    assert made.included == ("data/a.csv",)
    assert made.python == sys.version_info[:2]


def test_an_environment_below_the_working_directory_is_not_pushed():
    flow = Dataflow("numbers")
    nums = op.input("inp", flow, TestingSource([1]))
    op.output("out", op.map("check", nums, pytest.approx), TestingSink([]))
    made = pickled_flow(flow, cwd=Path(sys.prefix).parent)
    assert not [e.path for e in made.layer.entries if "pytest" in e.path]
