"""The floor: the work of a flow as a plain loop that calls the same user functions.

Run as `python -m benchmarks.programs.plain_loops word_count`.
"""

import sys
from pathlib import Path

from benchmarks.programs.functions import (
    INPUT,
    ITEMS,
    OUTPUT,
    as_line,
    is_round,
    itself,
    last_digits,
    readings,
    running_total,
    split,
)


def word_count(out):
    counts: dict[str, int] = {}
    with Path(INPUT).open() as lines:
        for line in lines:
            for word in split(line):
                key = itself(word)
                counts[key] = counts.get(key, 0) + 1
    for item in counts.items():
        _key, text = as_line(item)
        out.write(text + "\n")


def stateful_map(out):
    states: dict[str, int] = {}
    for key, value in readings(ITEMS):
        states[key], total = running_total(states.get(key), value)
        item = last_digits((key, total))
        if is_round(item):
            _key, text = as_line(item)
            out.write(text + "\n")


if __name__ == "__main__":
    with Path(OUTPUT).open("w") as out:
        {"word_count": word_count, "stateful_map": stateful_map}[sys.argv[1]](out)
