"""Gather the items that user code makes into lists of bounded size.

Iterables of any length are pulled only as far as there is room, and there is less room
where items are large.
"""

from collections.abc import Callable, Generator, Iterable, Iterator
from itertools import islice, repeat
from typing import Any, TypeVar

from engine.shapes import iterate
from engine.sizes import approximate_size

X = TypeVar("X")

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
        else:
            iterator = iterate(values, wrong)
            before = len(out)
            out += islice(iterator, room)
            room -= len(out) - before
            if not room:
                out, room = yield from _pull(iterator, out)
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
    out: list[tuple[str, Any]] = []
    room = _FIRST
    for key, values in pairs:
        if type(values) in _SIZED and len(values) < room:
            room -= len(values)
            for value in values:
                out.append((key, value))  # noqa: PERF401 (a comprehension costs a call)
        else:
            iterator = zip(repeat(key), iterate(values, wrong))
            before = len(out)
            out += islice(iterator, room)
            room -= len(out) - before
            if not room:
                out, room = yield from _pull(iterator, out)
    if out:
        yield out


def _pull(iterator: Iterator[X], out: list[X]) -> Generator[list[X], None, tuple[list[X], int]]:
    """Go on adding what an iterator gives to a chunk, and give each chunk that is full.

    Returns:
        The last chunk, which is not full, and how much room there is.
    """
    room = 0
    while not room:
        room = _room(out)
        if not room:
            yield out
            out = []
            room = _FIRST
        before = len(out)
        out += islice(iterator, room)
        room -= len(out) - before
    return out, room


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
