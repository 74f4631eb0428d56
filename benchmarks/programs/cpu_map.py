"""Call a function that costs CPU time for each of many numbers, split evenly over the workers."""

from pathlib import Path

import engine.operators as op
from benchmarks.programs.functions import BATCH, ITEMS, OUTPUT, as_line, collatz_steps, is_round
from engine.connectors.files import FileSink
from engine.dataflow import Dataflow
from engine.inputs import DynamicSource, StatelessSourcePartition, batch


class Numbers(StatelessSourcePartition[int]):
    def __init__(self, numbers):
        self._batches = batch(numbers, BATCH)

    def next_batch(self):
        return next(self._batches)


class EveryNth(DynamicSource[int]):
    def build(self, step_id, worker_index, worker_count):
        return Numbers(range(worker_index, ITEMS, worker_count))


flow = Dataflow("cpu_map")
numbers = op.input("numbers", flow, EveryNth())
steps = op.map("steps", numbers, collatz_steps)
kept = op.filter("kept", steps, is_round)
text = op.map("text", kept, as_line)
op.output("out", text, FileSink(Path(OUTPUT)))
