"""Keyed strings of 1 KB, each a new one, whose keys all belong to the second of two workers."""

import zlib
from collections.abc import Iterator
from itertools import islice

KEYS = [key for key in map(str, range(200)) if zlib.crc32(key.encode()) % 4096 >= 2048]
FILLER = "x" * 1000
BATCH = 1000


def items(count: int) -> Iterator[tuple[str, str]]:
    """So many of them."""
    for number in range(count):
        yield KEYS[number % len(KEYS)], f"{number:024}{FILLER}"


def batches(count: int) -> Iterator[list[tuple[str, str]]]:
    """The same in lists."""
    each = items(count)
    while batch := list(islice(each, BATCH)):
        yield batch
