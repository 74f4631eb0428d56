"""Keep a running total for each key, then map and filter it."""

from pathlib import Path

import engine.operators as op
from benchmarks.programs.functions import (
    BATCH,
    ITEMS,
    OUTPUT,
    as_line,
    is_round,
    last_digits,
    readings,
    running_total,
)
from engine.connectors.files import FileSink
from engine.dataflow import Dataflow
from engine.testing import TestingSource

flow = Dataflow("stateful_map")
items = op.input("items", flow, TestingSource(readings(ITEMS), BATCH))
totals = op.stateful_map("totals", items, running_total)
digits = op.map("digits", totals, last_digits)
kept = op.filter("kept", digits, is_round)
text = op.map("text", kept, as_line)
op.output("out", text, FileSink(Path(OUTPUT)))
