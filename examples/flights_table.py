"""Show the result of `flights.py` as a table, an airline a row.

python examples/flights_table.py [CSV]
"""

import csv
import sys
from collections import defaultdict
from pathlib import Path

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]


def table(path: Path) -> Table:
    """Mean delay by airline and month, and the worst delay of the year."""
    means: dict[str, dict[int, str]] = defaultdict(dict)
    worst: dict[str, int] = defaultdict(int)
    with path.open(newline="") as lines:
        for row in csv.DictReader(lines):
            carrier = row["carrier"]
            means[carrier][int(row["month"])] = str(round(float(row["mean_delay"])))
            worst[carrier] = max(worst[carrier], int(row["worst_delay"]))
    title = "Mean departure delay from New York, 2013, in minutes"
    result = Table(box=SIMPLE_HEAD, padding=0, title=title)
    result.add_column("")
    for column in (*MONTHS, "worst"):
        result.add_column(column, justify="right")
    for carrier, by_month in sorted(means.items()):
        months = (by_month.get(month, "-") for month in range(1, 13))
        result.add_row(carrier, *months, str(worst[carrier]))
    return result


if __name__ == "__main__":
    Console().print(table(Path(sys.argv[1] if len(sys.argv) > 1 else ".data/delays.csv")))
