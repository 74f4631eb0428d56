"""The user functions that the flows and the plain loops share, and their made-up items.

The peer may run them on Python 3.9, as it may the flows beside.
"""

import itertools
import os
import random
from collections.abc import Iterable
from typing import Optional

INPUT = os.environ.get("BENCH_INPUT", "")
OUTPUT = os.environ.get("BENCH_OUTPUT", "")
ITEMS = int(os.environ.get("BENCH_ITEMS", "0"))

BATCH = 1000
KEYS = 10_000


def split(line: str) -> list[str]:
    return line.split()


def itself(word: str) -> str:
    return word


def as_line(item: tuple[str, int]) -> tuple[str, str]:
    """What a file sink takes: a key to route by, and the text of the line."""
    key, value = item
    return key, f"{key}\t{value}"


def readings(count: int) -> Iterable[tuple[str, int]]:
    """`count` pairs of one of 10,000 keys, in random order, and a small number."""
    keys = [f"sensor-{index}" for index in range(KEYS)]
    drawn = random.Random(1).choices(keys, k=count)
    return zip(drawn, itertools.cycle(range(97)))


def running_total(total: Optional[int], value: int) -> tuple[int, int]:  # noqa: UP045 - see the top
    total = value if total is None else total + value
    return total, total


def last_digits(item: tuple[str, int]) -> tuple[str, int]:
    key, total = item
    return key, total % 1000


def is_round(item: tuple[str, int]) -> bool:
    """Keep about one item of a hundred."""
    return item[1] % 100 == 0


def collatz_steps(start: int) -> tuple[str, int]:
    """CPU-bound work of some ten microseconds: the steps from a number to 1."""
    number, steps = start + 1, 0
    while number != 1:
        number = 3 * number + 1 if number % 2 else number // 2
        steps += 1
    return str(start), steps
