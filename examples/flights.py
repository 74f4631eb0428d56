"""Mean and worst departure delay of each airline in each month of 2013, from New York.

    python examples/flights_data.py          # once: gets the 336,776 flights
    ctl run examples/flights.py -p 2
    python examples/flights_table.py         # shows the result

FLIGHTS_CSV and DELAYS_CSV in the environment set other paths.
"""

import os
from pathlib import Path

import engine.operators as op
from engine.connectors.files import CSVSource, FileSink
from engine.dataflow import Dataflow

FLIGHTS = Path(os.environ.get("FLIGHTS_CSV", ".data/flights.csv"))
DELAYS = Path(os.environ.get("DELAYS_CSV", ".data/delays.csv"))

Delays = tuple[int, int, int]
"""Number of flights; the sum of their delays and the worst of them, in minutes."""


def departed(row: dict[str, str]) -> bool:
    """Whether the flight was not cancelled."""
    return row["dep_delay"] != "NA"


def parse(row: dict[str, str]) -> tuple[str, Delays]:
    """Key the delay of one flight by airline and month."""
    delay = int(row["dep_delay"])
    return f"{row['carrier']},{int(row['month']):02}", (1, delay, delay)


def add(some: Delays, more: Delays) -> Delays:
    """Sum up the delays of two sets of flights of one airline in one month."""
    return some[0] + more[0], some[1] + more[1], max(some[2], more[2])


def to_line(item: tuple[str, Delays]) -> str:
    """Write one line of the result."""
    key, (flights, total, worst) = item
    return f"{key},{flights},{total / flights:.2f},{worst}"


def append(lines: list[str], line: str) -> list[str]:
    """Collect the lines, which come in any order."""
    return [*lines, line]


def to_csv(lines: list[str]) -> list[str]:
    """Bring the lines in order and put a header above."""
    return ["carrier,month,flights,mean_delay,worst_delay", *sorted(lines)]


flow = Dataflow("flights")
rows = op.input("flights", flow, CSVSource(FLIGHTS))
flown = op.filter("departed", rows, departed)
delays = op.map("parse", flown, parse)
monthly = op.reduce_final("monthly", delays, add)
lines = op.map("line", monthly, to_line)
table = op.fold_final("table", op.key_on("one_key", lines, lambda _: "table"), list, append)
op.output("out", op.flat_map_value("csv", table, to_csv), FileSink(DELAYS))
