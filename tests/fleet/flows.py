"""Dataflows that tests of deployments push."""

TICKING = '''
"""Prints a number every few moments, for ever."""
from datetime import datetime, timedelta, timezone

import engine.operators as op
from engine.connectors.stdio import StdOutSink
from engine.dataflow import Dataflow
from engine.inputs import DynamicSource, StatelessSourcePartition


class Ticks(StatelessSourcePartition):
    def __init__(self):
        self.count = 0
        self.awake = datetime.now(timezone.utc)

    def next_batch(self):
        self.count += 1
        self.awake = datetime.now(timezone.utc) + timedelta(milliseconds=100)
        return [self.count]

    def next_awake(self):
        return self.awake


class TickSource(DynamicSource):
    def build(self, step_id, worker_index, worker_count):
        return Ticks()


flow = Dataflow("ticking")
ticks = op.input("ticks", flow, TickSource())
keyed = op.key_on("key", ticks, lambda count: str(count % 7))
op.output("out", op.map("say", keyed, lambda item: f"tick {item[1]} %s"), StdOutSink())
'''

FINITE = """
import engine.operators as op
from engine.connectors.stdio import StdOutSink
from engine.dataflow import Dataflow
from engine.testing import TestingSource

flow = Dataflow("finite")
words = op.input("words", flow, TestingSource("a rose is a rose".split()))
op.output("out", op.count_final("count", words, str), StdOutSink())
"""

FAILING = FINITE.replace(
    "op.output(",
    """

def refuse(item):
    raise LookupError("no roses here")


words = op.map("refuse", words, refuse)
op.output(""",
    1,
)


def ticking(mark: str) -> str:
    """A flow without end whose lines show which release they are of."""
    return TICKING.replace("%s", mark)
