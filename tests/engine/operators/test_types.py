"""What a type checker knows of the items in a flow; mypy checks this file."""

from collections.abc import Iterable
from datetime import timedelta
from typing import TypeGuard, assert_type

import engine.operators as op
from engine.dataflow import Dataflow, KeyedStream, Stream, operator
from engine.testing import TestingSink, TestingSource


class Sum(op.StatefulLogic[int, float, int]):
    def on_item(self, value: int) -> tuple[Iterable[float], bool]:
        return [value / 2], self.RETAIN

    def snapshot(self) -> int:
        return 0


class BatchSum(op.StatefulBatchLogic[int, float, int]):
    def on_batch(self, values: list[int]) -> tuple[Iterable[float], bool]:
        return [sum(values) / 2], self.RETAIN

    def snapshot(self) -> int:
        return 0


def build_sum(_resume: int | None) -> Sum:
    return Sum()


def build_batch_sum(_resume: int | None) -> BatchSum:
    return BatchSum()


def is_str(x: int | str) -> TypeGuard[str]:
    return isinstance(x, str)


def is_even(x: int) -> bool:
    return x % 2 == 0


def half(x: int) -> float:
    return x / 2


def maybe(x: int) -> float | None:
    return x / 2 if x else None


def halves(x: int) -> list[float]:
    return [x / 2]


def name(x: int) -> str:
    return str(x)


def average(state: float | None, x: int) -> tuple[float | None, bytes]:
    return (state or 0) + x, b""


def averages(state: float | None, x: int) -> tuple[float | None, list[bytes]]:
    return (state or 0) + x, [b""]


def zero() -> float:
    return 0.0


def add(x: float, y: int) -> float:
    return x + y


def larger(x: int, y: int) -> int:
    return max(x, y)


@operator
def twice(step_id: str, up: Stream[int]) -> Stream[float]:
    return op.map("half", up, half)


def test_item_types_follow_the_operators() -> None:
    flow = Dataflow("types")
    ints = op.input("ints", flow, TestingSource([1, 2]))
    assert_type(ints, Stream[int])
    mixed: Stream[int | str] = ints
    assert_type(op.map("map", ints, half), Stream[float])
    assert_type(op.flat_map("flat_map", ints, halves), Stream[float])
    assert_type(op.flat_map_batch("flat_map_batch", ints, lambda xs: xs), Stream[int])
    assert_type(op.flatten("flatten", op.map("lists", ints, halves)), Stream[float])
    assert_type(op.filter("filter", ints, is_even), Stream[int])
    assert_type(op.filter_map("filter_map", ints, maybe), Stream[float])
    assert_type(op.branch("branch", ints, is_even), op.BranchOut[int, int])
    assert_type(op.branch("guard", mixed, is_str).trues, Stream[str])
    assert_type(op.branch("guard2", mixed, is_str).falses, Stream[int | str])
    floats = twice("twice", ints)
    assert_type(floats, Stream[float])
    strs = op.map("strs", ints, name)
    assert_type(op.merge("merge", ints, strs), Stream[int | str])
    assert_type(op.merge("merge3", ints, strs, floats), Stream[int | str | float])
    assert_type(op.redistribute("redistribute", ints), Stream[int])
    assert_type(op.inspect("inspect", ints), Stream[int])
    assert_type(op.inspect_debug("inspect_debug", ints), Stream[int])
    op.output("out", ints, TestingSink(list[int]()))
    op.raises("raises", ints)


def test_value_types_follow_the_operators() -> None:
    flow = Dataflow("types")
    ints = op.key_on("key_on", op.input("inp", flow, TestingSource([1, 2])), name)
    assert_type(ints, KeyedStream[int])
    assert_type(op.key_rm("key_rm", ints), Stream[int])
    assert_type(op.map_value("map_value", ints, half), KeyedStream[float])
    assert_type(op.flat_map_value("flat_map_value", ints, halves), KeyedStream[float])
    assert_type(op.filter_value("filter_value", ints, is_even), KeyedStream[int])
    assert_type(op.filter_map_value("filter_map_value", ints, maybe), KeyedStream[float])
    assert_type(op.stateful_batch("stateful_batch", ints, build_batch_sum), KeyedStream[float])
    assert_type(op.stateful("stateful", ints, build_sum), KeyedStream[float])
    assert_type(op.stateful_map("stateful_map", ints, average), KeyedStream[bytes])
    assert_type(op.stateful_flat_map("stateful_flat_map", ints, averages), KeyedStream[bytes])
    assert_type(op.fold_final("fold_final", ints, zero, add), KeyedStream[float])
    assert_type(op.reduce_final("reduce_final", ints, larger), KeyedStream[int])
    assert_type(op.count_final("count_final", ints, str), KeyedStream[int])
    assert_type(op.max_final("max_final", ints), KeyedStream[int])
    assert_type(op.min_final("min_final", ints, half), KeyedStream[int])
    assert_type(op.collect("collect", ints, timedelta(0), 1), KeyedStream[list[int]])


def test_item_types_follow_a_chain() -> None:
    flow = Dataflow("types")
    ints = op.input("inp", flow, TestingSource([1, 2]))
    assert_type(ints.then(op.map, "map", half), Stream[float])
    assert_type(ints.then(op.key_on, "key", name), KeyedStream[int])
