import dataclasses

import numpy as np
import pytest

from engine.sizes import approximate_size

MEGABYTE = 1 << 20


@dataclasses.dataclass
class Event:
    name: str
    payload: bytes


@dataclasses.dataclass
class Broken:
    @property
    def nbytes(self):
        msg = "not ready"
        raise ValueError(msg)


@pytest.mark.parametrize(
    "item",
    [
        bytes(MEGABYTE),
        bytearray(MEGABYTE),
        memoryview(bytes(MEGABYTE)),
        "x" * MEGABYTE,
        np.zeros(MEGABYTE, dtype=np.uint8),
        np.zeros(2 * MEGABYTE, dtype=np.uint8)[::2],
        ("key", bytes(MEGABYTE)),
        ("key", {"name": "x", "payload": bytes(MEGABYTE)}),
        ("key", [bytes(MEGABYTE // 8)] * 8),
        Event("x", bytes(MEGABYTE)),
        list(range(MEGABYTE // 36)),
        [bytes(MEGABYTE // 100)] * 100,
    ],
    ids=lambda item: type(item).__name__,
)
def test_is_about_right(item):
    assert 0.8 * MEGABYTE < approximate_size(item) < 1.3 * MEGABYTE


@pytest.mark.parametrize("item", [None, 0, "", (), {}, [], object(), Broken(), {1}, lambda: 0])
def test_small_items_are_small_but_not_nothing(item):
    assert 1 <= approximate_size(item) < 2000


def test_an_item_in_itself_is_no_problem() -> None:
    item: list[object] = []
    item.append(item)
    assert approximate_size(item) > 0
