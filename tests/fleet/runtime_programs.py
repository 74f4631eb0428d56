"""For each runtime, programs that do the same: one without end, one that ends, one that fails.

All tell what they were given, once for each process, in a line that begins with TOLD.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from tests.fleet.flows import ticking
from tests.fleet.test_runtimes import BYTEWAX as BYTEWAX_WORDS
from tests.fleet.test_runtimes import RING

TOLD = "told "
TELLING = """
import os
import sys

SEEN = {
    "nasty": os.environ.get("NASTY"),
    "secret": len(os.environ.get("ROSES", "")),
    "arguments": sys.argv[1:],
}
print("told " + ascii(SEEN), flush=True)
"""
# A factory, whose arguments are part of FLOW.
BUILDING = """
built = flow


def build(*arguments):
    print("told " + ascii({**SEEN, "arguments": list(arguments)}), flush=True)
    return built
"""
PLAIN = """
import itertools
import time

for number in itertools.count():
    print(f"tick {number} %s", flush=True)
    time.sleep(0.1)
"""
PATHWAY = """
import time

import pathway as pw


class Ticks(pw.io.python.ConnectorSubject):
    def run(self):
        number = 0
        while True:
            self.next(number=number)
            number += 1
            time.sleep(0.1)


class Tick(pw.Schema):
    number: int


def say(key, row, time, is_addition):
    print(f"tick {row['number']} %s", flush=True)


ticks = pw.io.python.read(Ticks(), schema=Tick, autocommit_duration_ms=100)
pw.io.subscribe(ticks, on_change=say)
pw.run(
    monitoring_level=pw.MonitoringLevel.NONE,
    with_http_server="PATHWAY_MONITORING_HTTP_PORT" in os.environ,
)
"""
PATHWAY_WORDS = """
import pathway as pw


class Word(pw.Schema):
    word: str


def say(key, row, time, is_addition):
    print((row["word"], row["count"]))


rows = [(word,) for word in ("a rose is a rose " * 200).split()]
words = pw.debug.table_from_rows(Word, rows)
counts = words.groupby(words.word).reduce(words.word, count=pw.reducers.count())
pw.io.subscribe(counts, on_change=say)
pw.run(monitoring_level=pw.MonitoringLevel.NONE)
"""
COUNTED = ("('a', 400)", "('is', 200)", "('rose', 400)")
FAILING = 'raise LookupError("no roses here")\n'
# It can be loaded once, as what checks it does.
FAILING_LATER = f"""
from pathlib import Path

if Path("loaded").exists():
    {FAILING}
Path("loaded").touch()
"""


@dataclass(frozen=True)
class Kind:
    """A runtime as the tests see it.

    Args:
        runtime: Its name.
        lasting: A program without end; `%s` in what it prints stands for a mark of the release.
        ending: One that ends.
        ended: What that prints, its lines sorted.
        options: What an inventory has beside the runtime.
        checked: Whether the program is loaded before anything stops.
        hosts: How many it can run on.
        run_refused: What `ctl run` says, if it cannot do that.
        lags: Whether the first of its processes says how far it is behind.
    """

    runtime: str
    lasting: str
    ending: str = ""
    ended: tuple[str, ...] = ()
    options: Mapping[str, object] = field(default_factory=dict)
    checked: bool = False
    hosts: int = 2
    run_refused: str = ""
    lags: bool = False

    def program(self, mark: str) -> str:
        """The program without end."""
        return self.lasting.replace("%s", mark)


KINDS = (
    Kind(
        "engine",
        TELLING + ticking("%s") + BUILDING,
        BYTEWAX_WORDS.replace("bytewax", "engine"),
        COUNTED,
        checked=True,
    ),
    Kind(
        "bytewax",
        TELLING + ticking("%s").replace("engine", "bytewax") + BUILDING,
        BYTEWAX_WORDS,
        COUNTED,
        checked=True,
    ),
    Kind(
        "pathway",
        TELLING + PATHWAY,
        PATHWAY_WORDS,
        COUNTED,
        options={"env": {"PATHWAY_MONITORING_HTTP_PORT": "20317"}},
        hosts=1,
        lags=True,
    ),
    Kind(
        "command",
        TELLING + PLAIN,
        RING,
        ("listening", "listening", "the sum is 3", "the sum is 3"),
        options={"command": ["python", "flow.py"], "ready": {"log": "^tick "}},
    ),
    Kind(
        "script",
        TELLING + PLAIN,
        options={"ready_line": "^tick "},
        run_refused="runtime script cannot run without hosts",
    ),
)
