"""One dataflow that holds a case for every operator; each writes lines of its own.

To add a case, write a function that takes a stream of the numbers 0 to 39, read from four
partitions, and decorate it with the output that it has to give, in any order.
"""

from collections.abc import Callable, Iterable
from datetime import timedelta
from typing import Any

import engine.operators as op
from engine.connectors.stdio import StdOutSink
from engine.dataflow import Dataflow, KeyedStream, Stream, operator
from engine.inputs import FixedPartitionedSource, StatefulSourcePartition
from engine.operators import StatefulBatchLogic, StatefulLogic

PARTITIONS = 4
NUMBERS = range(40)

Case = Callable[[Stream[int]], Stream[Any]]
CASES: dict[str, tuple[Case, list[Any]]] = {}


def case(expected: Iterable[Any]) -> Callable[[Case], Case]:
    """Add a case and what it has to give."""

    def add(build: Case) -> Case:
        CASES[build.__name__] = (build, list(expected))
        return build

    return add


class NumbersPartition(StatefulSourcePartition[int, int]):
    def __init__(self, numbers: list[int]) -> None:
        self.numbers = numbers

    def next_batch(self) -> list[int]:
        if not self.numbers:
            raise StopIteration
        batch, self.numbers = self.numbers[:3], self.numbers[3:]
        return batch

    def snapshot(self) -> int:
        return len(self.numbers)


class NumbersSource(FixedPartitionedSource[int, int]):
    """Number n is in partition n mod 4."""

    def list_parts(self) -> list[str]:
        return [str(part) for part in range(PARTITIONS)]

    def build_part(self, step_id: str, for_part: str, resume_state: int | None) -> NumbersPartition:
        return NumbersPartition(list(NUMBERS[int(for_part) :: PARTITIONS]))


def by_partition(n: int) -> str:
    """A key whose items all come from one partition, so that their order is certain."""
    return f"part-{n % PARTITIONS}"


def in_order(step_id: str, up: KeyedStream[int]) -> KeyedStream[list[int]]:
    """All values of each key, in the order in which they came."""
    return op.fold_final(step_id, up, list, lambda seen, value: [*seen, value])


ORDERED = [(f"part-{part}", list(NUMBERS[part::PARTITIONS])) for part in range(PARTITIONS)]


@case(n * 2 for n in NUMBERS)
def map_(up: Stream[int]) -> Stream[int]:
    return op.map("map", up, lambda n: n * 2)


@case((str(n), n + 1) for n in NUMBERS)
def map_value(up: Stream[int]) -> Stream[Any]:
    return op.map_value("map", op.key_on("key", up, str), lambda n: n + 1)


@case(n for n in NUMBERS for _ in range(n % 3))
def flat_map(up: Stream[int]) -> Stream[int]:
    return op.flat_map("flat_map", up, lambda n: [n] * (n % 3))


@case(n for n in NUMBERS for _ in range(300))
def flat_map_of_generators(up: Stream[int]) -> Stream[int]:
    return op.flat_map("flat_map", up, lambda n: (n for _ in range(300)))


@case(n for n in NUMBERS for _ in range(2))
def flat_map_batch(up: Stream[int]) -> Stream[int]:
    return op.flat_map_batch("flat_map_batch", up, lambda ns: ns + ns)


@case((str(n), v) for n in NUMBERS for v in (n, -n))
def flat_map_value(up: Stream[int]) -> Stream[Any]:
    return op.flat_map_value("flat_map", op.key_on("key", up, str), lambda n: [n, -n])


@case(n for n in NUMBERS for _ in range(2))
def flatten(up: Stream[int]) -> Stream[int]:
    return op.flatten("flatten", op.map("pair", up, lambda n: [n, n]))


@case(n for n in NUMBERS if n % 2 == 0)
def filter_(up: Stream[int]) -> Stream[int]:
    return op.filter("filter", up, lambda n: n % 2 == 0)


@case((str(n), n) for n in NUMBERS if n > 20)
def filter_value(up: Stream[int]) -> Stream[Any]:
    return op.filter_value("filter", op.key_on("key", up, str), lambda n: n > 20)


@case(n * 10 for n in NUMBERS if n > 20)
def filter_map(up: Stream[int]) -> Stream[int]:
    return op.filter_map("filter_map", up, lambda n: n * 10 if n > 20 else None)


@case((str(n), n * 10) for n in NUMBERS if n > 20)
def filter_map_value(up: Stream[int]) -> Stream[Any]:
    keyed = op.key_on("key", up, str)
    return op.filter_map_value("filter_map", keyed, lambda n: n * 10 if n > 20 else None)


@case(NUMBERS)
def key_on_and_key_rm(up: Stream[int]) -> Stream[int]:
    return op.key_rm("key_rm", op.key_on("key", up, str))


@case([n if n < 10 else -n for n in NUMBERS])
def branch_and_merge(up: Stream[int]) -> Stream[int]:
    low, high = (both := op.branch("branch", up, lambda n: n < 10)).trues, both.falses
    return op.merge("merge", low, op.map("negate", high, lambda n: -n))


@case([*NUMBERS, *NUMBERS])
def merge_with_itself(up: Stream[int]) -> Stream[int]:
    return op.merge("merge", up, up)


@case([*NUMBERS, *((str(n % 5), sum(NUMBERS[n % 5 :: 5])) for n in range(5))])
def merge_of_stages(up: Stream[int]) -> Stream[Any]:
    keyed = op.key_on("key", up, lambda n: str(n % 5))
    sums = op.reduce_final("sum", keyed, lambda a, b: a + b)
    return op.merge("merge", up, sums)


@case(NUMBERS)
def redistribute(up: Stream[int]) -> Stream[int]:
    return op.redistribute("redistribute", up)


@case(NUMBERS)
def redistribute_twice(up: Stream[int]) -> Stream[int]:
    return op.redistribute("again", op.redistribute("once", up))


@case(NUMBERS)
def inspected(up: Stream[int]) -> Stream[int]:
    seen = op.inspect("inspect", up, lambda _step_id, _item: None)
    return op.inspect_debug("debug", seen, lambda _step_id, _item, _epoch, _worker: None)


class SumAtEnd(StatefulBatchLogic[int, int, int]):
    def __init__(self, resume_state: int | None) -> None:
        self.total = resume_state or 0

    def on_batch(self, values: list[int]) -> tuple[list[int], bool]:
        self.total += sum(values)
        return [], StatefulBatchLogic.RETAIN

    def on_eof(self) -> tuple[list[int], bool]:
        return [self.total], StatefulBatchLogic.DISCARD

    def snapshot(self) -> int:
        return self.total


@case((str(n), sum(NUMBERS[n::7])) for n in range(7))
def stateful_batch(up: Stream[int]) -> Stream[Any]:
    return op.stateful_batch("sum", op.key_on("key", up, lambda n: str(n % 7)), SumAtEnd)


class EverySecond(StatefulLogic[int, int, int]):
    """Lets every second value pass, and forgets the key after it."""

    def __init__(self, resume_state: int | None) -> None:
        self.seen = resume_state or 0

    def on_item(self, value: int) -> tuple[list[int], bool]:
        self.seen += 1
        return ([value], StatefulLogic.DISCARD) if self.seen == 2 else ([], StatefulLogic.RETAIN)

    def snapshot(self) -> int:
        return self.seen


@case((key, ns[1::2]) for key, ns in ORDERED)
def stateful(up: Stream[int]) -> Stream[Any]:
    kept = op.stateful("every_second", op.key_on("key", up, by_partition), EverySecond)
    return in_order("order", kept)


@case((key, [sum(ns[: i + 1]) for i in range(len(ns))]) for key, ns in ORDERED)
def stateful_map(up: Stream[int]) -> Stream[Any]:
    def add(total: int | None, n: int) -> tuple[int, int]:
        total = (total or 0) + n
        return total, total

    return in_order("order", op.stateful_map("sum", op.key_on("key", up, by_partition), add))


@case((key, [v for i, n in enumerate(ns) for v in [n] * (i % 3)]) for key, ns in ORDERED)
def stateful_flat_map(up: Stream[int]) -> Stream[Any]:
    def repeat(count: int | None, n: int) -> tuple[int, list[int]]:
        return (count or 0) + 1, [n] * ((count or 0) % 3)

    keyed = op.key_on("key", up, by_partition)
    return in_order("order", op.stateful_flat_map("repeat", keyed, repeat))


@case(ORDERED)
def order_of_a_key(up: Stream[int]) -> Stream[Any]:
    return in_order("order", op.key_on("key", up, by_partition))


@case(("all", ns) for _, ns in [("all", sorted(NUMBERS))])
def everything_on_one_key(up: Stream[int]) -> Stream[Any]:
    everything = in_order("gather", op.key_on("key", up, lambda _n: "all"))
    return op.map_value("sort", everything, sorted)


@case((str(n), sum(NUMBERS[n::3])) for n in range(3))
def reduce_final(up: Stream[int]) -> Stream[Any]:
    return op.reduce_final("sum", op.key_on("k", up, lambda n: str(n % 3)), lambda a, b: a + b)


@case((str(n), len(NUMBERS[n::3])) for n in range(3))
def count_final(up: Stream[int]) -> Stream[Any]:
    return op.count_final("count", up, lambda n: str(n % 3))


@case((str(n), max(NUMBERS[n::3])) for n in range(3))
def max_final(up: Stream[int]) -> Stream[Any]:
    return op.max_final("max", op.key_on("key", up, lambda n: str(n % 3)))


@case((str(n), min(NUMBERS[n::3])) for n in range(3))
def min_final(up: Stream[int]) -> Stream[Any]:
    return op.min_final("min", op.key_on("key", up, lambda n: str(n % 3)))


@case((key, [ns[i : i + 4] for i in range(0, len(ns), 4)]) for key, ns in ORDERED)
def collect(up: Stream[int]) -> Stream[Any]:
    keyed = op.key_on("key", up, by_partition)
    chunks = op.collect("collect", keyed, timeout=timedelta(hours=1), max_size=4)
    return op.fold_final("order", chunks, list, lambda seen, chunk: [*seen, chunk])


@operator
def add_and_double(step_id: str, up: Stream[int]) -> Stream[int]:
    return op.map("double", op.map("add", up, lambda n: n + 1), lambda n: n * 2)


@case((n + 1) * 2 for n in NUMBERS)
def nested_operator(up: Stream[int]) -> Stream[int]:
    return up.then(add_and_double, "nested")


@operator
def as_lines(step_id: str, up: Stream[Any], name: str) -> Stream[str]:
    return op.map("line", up, lambda item: f"{name}\t{item!r}")


@operator
def one_case(step_id: str, flow: Dataflow, build: Case) -> None:
    numbers = op.input("numbers", flow, NumbersSource())
    op.output("out", as_lines("lines", build(numbers), step_id), StdOutSink())


flow = Dataflow("conformance")
for name, (build, _) in CASES.items():
    one_case(name, flow, build)
