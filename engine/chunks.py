"""Gather the items that user code makes into lists of bounded size.

Iterables of any length are pulled only as far as there is room, and there is less room
where items are large.
"""

from collections.abc import Callable, Iterable, Iterator
from itertools import islice, repeat
from typing import Any

from engine.shapes import iterate
from engine.sizes import approximate_size

CHUNK_ITEMS = 1024
"""Items in a chunk, at most."""

CHUNK_BYTES = 1 << 20
"""Bytes in a chunk, about, unless one item is larger."""

_FIRST = 4
_GROWTH = 32
_SIZED = frozenset({list, tuple, str, dict, set, frozenset})


def chunks(
    mapper: Callable[[Any], Any], items: Iterable[Any], wrong: Callable[[object], TypeError]
) -> Iterator[list[Any]]:
    """Chain what a mapper returns for each item into chunks.

    Args:
        mapper: From an item to an iterable, which is pulled to its end before the next
            item is.
        items: What to call it with.
        wrong: Makes the error to raise of something that is no iterable.

    Raises:
        RuntimeError: By Python, if the user's code lets a StopIteration out; see `user_error`.
    """
    out: list[Any] = []
    room = _FIRST
    for item in items:
        values: Any = mapper(item)
        if type(values) in _SIZED and len(values) < room:
            room -= len(values)
            out += values
            continue
        iterator = iterate(values, wrong)
        while True:
            before = len(out)
            out += islice(iterator, room)
            room -= len(out) - before
            if room:
                break
            room = _room(out)
            if not room:
                yield out
                out = []
                room = _FIRST
    if out:
        yield out


def keyed_chunks(
    pairs: Iterable[tuple[str, Any]], wrong: Callable[[object], TypeError]
) -> Iterator[list[tuple[str, Any]]]:
    """Chain iterables of values into chunks of `(key, value)` items.

    Args:
        pairs: A key and the iterable of values to give it; the next pair is pulled when the
            values of the one before have been.
        wrong: Makes the error to raise of something that is no iterable.
    """

    def with_key(pair: tuple[str, Any]) -> Iterable[tuple[str, Any]]:
        key, values = pair
        if type(values) in _SIZED and len(values) <= _GROWTH:
            return [(key, value) for value in values]
        return zip(repeat(key), iterate(values, wrong))

    return chunks(with_key, pairs, wrong)


def user_error(error: BaseException) -> BaseException:
    """What user code raised, where a generator of ours had to replace a StopIteration.

    PEP 479 makes a RuntimeError of a StopIteration that leaves a generator.
    """
    cause = error.__cause__
    if type(error) is RuntimeError and isinstance(cause, StopIteration):
        return cause
    return error


def _room(out: list[Any]) -> int:
    """How many more items may be added before this has to be asked again; 0 if full."""
    count = len(out)
    if count >= CHUNK_ITEMS:
        return 0
    size = max(approximate_size(out[-1]), approximate_size(out[-2]))
    return max(0, min(count * (_GROWTH - 1), CHUNK_ITEMS - count, CHUNK_BYTES // size - count))
