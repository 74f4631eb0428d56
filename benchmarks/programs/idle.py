"""Wait for items that never come, either asleep or asking again and again."""

from datetime import datetime, timedelta, timezone
from pathlib import Path

import engine.operators as op
from benchmarks.programs.functions import OUTPUT
from engine.dataflow import Dataflow
from engine.inputs import DynamicSource, StatelessSourcePartition
from engine.testing import TestingSink


class Silent(StatelessSourcePartition[int]):
    def __init__(self, awake):
        self._awake = awake

    def next_batch(self):
        return []

    def next_awake(self):
        return self._awake


class Silence(DynamicSource[int]):
    def __init__(self, awake):
        self._awake = awake

    def build(self, step_id, worker_index, worker_count):
        # The sign that the process is up, after which its CPU time is watched.
        Path(OUTPUT).touch()
        return Silent(self._awake)


def silent_flow(awake):
    flow = Dataflow("idle")
    items = op.input("items", flow, Silence(awake))
    op.output("out", items, TestingSink([]))
    return flow


# The peer may run this on a Python without `datetime.UTC`.
asleep = silent_flow(datetime.now(timezone.utc) + timedelta(days=1))  # noqa: UP017
asking = silent_flow(None)
