"""Estimate how much memory an item takes, cheaply."""

from itertools import islice
from sys import getsizeof
from typing import Any

_SAMPLE = 4
_UNKNOWN = 64
_PLAIN = frozenset({str, int, float, bool, bytes, type(None)})


def approximate_size(item: Any) -> int:
    """About how many bytes an item takes; at least 1.

    Looks two levels into tuples, lists, dicts and the attributes of objects, at a few of
    their members only, so that it takes a few microseconds at most whatever the item is.
    """
    if type(item) in _PLAIN:
        return getsizeof(item)
    try:
        return max(1, _size(item, 2))
    except Exception:
        # What a user's class raises when it is looked at is not an error of the dataflow.
        return _UNKNOWN


def _size(item: Any, levels: int) -> int:
    kind = type(item)
    if kind is tuple or kind is list:
        count = len(item)
        sample = item if count <= _SAMPLE else item[:: -(-count // _SAMPLE)]
    elif kind is dict:
        # The first values: a dict cannot be sampled at a stride.
        count = len(item)
        sample = item.values() if count <= _SAMPLE else list(islice(item.values(), _SAMPLE))
    else:
        # Arrays and Arrow batches know what they hold, also when the memory is another's.
        size = getattr(item, "nbytes", None)
        if type(size) is int:
            return size + _UNKNOWN
        sample = item if isinstance(item, (tuple, list)) else getattr(item, "__dict__", {}).values()
        count = len(sample)
        sample = list(islice(sample, _SAMPLE))
    size = getsizeof(item, _UNKNOWN)
    if not count or not levels:
        return size
    members = 0
    for each in sample:
        members += getsizeof(each) if type(each) in _PLAIN else _size(each, levels - 1)
    return size + members * count // len(sample)
