"""Strings of 1 KB that all go from the first of two workers to the second."""

import os

import engine.operators as op
from benchmarks.programs.shuffle_items import BATCH, items
from engine.connectors.files import FileSink
from engine.dataflow import Dataflow
from engine.testing import TestingSource

COUNT = int(os.environ["BENCH_COUNT"])

flow = Dataflow("shuffle")
made = op.input("made", flow, TestingSource(items(COUNT), batch_size=BATCH))
lengths = op.fold_final("bytes", made, int, lambda total, text: total + len(text))
total = op.fold_final(
    "total", op.key_on("all", lengths, lambda _: "all"), int, lambda total, item: total + item[1]
)
op.output("out", op.map_value("text", total, str), FileSink(os.environ["BENCH_RESULT"]))
