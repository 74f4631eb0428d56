"""Seeded schedules on the simulated network: the right result, and never a deadlock.

A failing case prints its seed; `HOSTMESH_SEED=<n> pytest tests/engine/test_simulation.py`
replays that one alone, and `HOSTMESH_SEEDS=<n>` sets how many are tried.
"""

import os
from collections import Counter
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from random import Random
from typing import Any

import pytest

import engine.exchange
import engine.operators as op
import engine.worker
from engine.dataflow import Dataflow, Stream
from engine.inputs import FixedPartitionedSource, StatefulSourcePartition
from engine.testing import TestingSink
from tests.engine.simulation import EPOCH, Clock, DeadlockError, Simulation

ONE_SEED = os.environ.get("HOSTMESH_SEED")
SEEDS = [int(ONE_SEED)] if ONE_SEED else range(int(os.environ.get("HOSTMESH_SEEDS", "500")))


class ListPartition(StatefulSourcePartition[Any, int]):
    def __init__(self, items: list[Any], batch: int) -> None:
        self.items = items
        self.batch = batch
        self.position = 0

    def next_batch(self) -> list[Any]:
        if self.position >= len(self.items):
            raise StopIteration
        batch = self.items[self.position : self.position + self.batch]
        self.position += self.batch
        return batch

    def snapshot(self) -> int:
        return self.position


class ListsSource(FixedPartitionedSource[Any, int]):
    """Reads several lists, each a partition that any worker may be given."""

    def __init__(self, lists: dict[str, list[Any]], batch: int) -> None:
        self.lists = lists
        self.batch = batch

    def list_parts(self) -> list[str]:
        return list(self.lists)

    def build_part(self, step_id: str, for_part: str, resume_state: int | None) -> ListPartition:
        return ListPartition(self.lists[for_part], self.batch)


Items = list[tuple[str, int]]


class Case:
    """A random dataflow of keyed sums over several stages, and what it has to give."""

    def __init__(self, random: Random) -> None:
        self.random = random
        self.flow = Dataflow("sim")
        self.steps = 0
        self.expected: list[tuple[list[Any], Counter[Any]]] = []
        sources = [self._source() for _ in range(random.randint(1, 3))]
        for _ in range(random.randint(1, 5)):
            stream, items = random.choice(sources)
            sources.append(self._grow(stream, items, sources))
        for stream, items in sources[-random.randint(1, len(sources)) :]:
            self._sink(stream, items)

    def _id(self, name: str) -> str:
        self.steps += 1
        return f"{name}_{self.steps}"

    def _source(self) -> tuple[Stream[Any], Items]:
        random = self.random
        keys = random.choice((1, 3, 200))
        lists = {
            f"part-{part}": [
                (f"k{random.randrange(keys)}", random.randrange(100))
                for _ in range(random.choice((0, 5, 60)))
            ]
            for part in range(random.randint(1, 4))
        }
        stream = op.input(self._id("inp"), self.flow, ListsSource(lists, random.randint(1, 20)))
        return stream, [item for items in lists.values() for item in items]

    def _grow(
        self, stream: Stream[Any], items: Items, others: list[tuple[Stream[Any], Items]]
    ) -> tuple[Stream[Any], Items]:
        """Add a few operators, and do the same to the items."""
        match self.random.randrange(7):
            case 0:
                stream = op.map(self._id("map"), stream, lambda kv: (kv[0] + "x", kv[1] + 1))
                return stream, [(key + "x", value + 1) for key, value in items]
            case 1:
                many = op.flat_map(self._id("flat"), stream, lambda kv: [kv] * (kv[1] % 4))
                return many, [item for item in items for _ in range(item[1] % 4)]
            case 2:
                other, other_items = self.random.choice(others)
                return op.merge(self._id("merge"), stream, other), items + other_items
            case 3:
                return op.redistribute(self._id("redistribute"), stream), items
            case 4:
                both = op.branch(self._id("branch"), stream, lambda kv: kv[1] % 2 == 0)
                odd = op.redistribute(self._id("odd"), both.falses)
                return op.merge(self._id("join"), both.trues, odd), items
            case 5:
                total = op.reduce_final(self._id("sum"), stream, lambda a, b: a + b)
                sums: Counter[str] = Counter()
                for key, value in items:
                    sums[key] += value
                return total, [(key, sums[key]) for key in {key for key, _ in items}]
            case _:
                numbered = op.stateful_map(
                    self._id("number"), stream, lambda n, v: ((n or 0) + 1, (n or 0) + v * 0)
                )
                seen: Counter[str] = Counter()
                out = []
                for key, _ in items:
                    out.append((key, seen[key]))
                    seen[key] += 1
                return numbered, out

    def _sink(self, stream: Stream[Any], items: Iterable[Any]) -> None:
        out: list[Any] = []
        op.output(self._id("out"), stream, TestingSink(out))
        self.expected.append((out, Counter(items)))

    def check(self) -> None:
        for out, expected in self.expected:
            assert Counter(out) == expected


@pytest.fixture(params=["roomy", "tight"])
def credit(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run with the real windows, and with some so small that stages park all the time."""
    if request.param == "tight":
        for module in (engine.exchange, engine.worker):
            monkeypatch.setattr(module, "window", lambda _route, _workers: 300)
        monkeypatch.setattr(engine.exchange, "BATCH_ITEMS", 4)


@pytest.mark.usefixtures("credit")
@pytest.mark.parametrize("seed", SEEDS)
def test_any_schedule_gives_the_right_result(seed: int) -> None:
    random = Random(seed)
    case = Case(random)
    simulation = Simulation(
        case.flow,
        seed,
        processes=random.randint(1, 4),
        workers=random.randint(1, 3),
        epoch_interval=random.choice((0.0, 0.0001, 0.01, 10.0)),
    )
    simulation.run(slow=random.choice((0.0, 0.9, 0.999)))
    assert [process.member.reason for process in simulation.processes] == ["finished"] * len(
        simulation.processes
    )
    case.check()


@pytest.mark.usefixtures("credit")
@pytest.mark.parametrize("seed", SEEDS)
def test_a_cut_ends_both_sides_and_never_hangs(seed: int) -> None:
    random = Random(seed)
    case = Case(random)
    simulation = Simulation(case.flow, seed, processes=2, workers=random.randint(1, 2))
    turn = random.randrange(300)
    simulation.run(at_turn={turn: lambda: simulation.cut(0, 1)})
    for process in simulation.processes:
        assert process.lost or process.member.reason == "finished"


@pytest.mark.parametrize("seed", SEEDS[:50])
def test_an_ordered_stop_ends_all_after_one_epoch(seed: int) -> None:
    random = Random(seed)
    case = Case(random)
    simulation = Simulation(
        case.flow, seed, processes=random.randint(1, 3), workers=2, epoch_interval=0.001
    )

    def stop() -> None:
        process = random.choice(simulation.processes)
        process.member.stop("terminated", simulation.clock.seconds)

    simulation.run(at_turn={random.randrange(200, 600): stop})
    reasons = {process.member.reason for process in simulation.processes}
    assert reasons in ({"terminated"}, {"finished"})
    epochs = {process.member.epoch for process in simulation.processes}
    assert len(epochs) == 1


def _deadlocking(simulation: Simulation) -> Callable[[], None]:
    """Take a barrier away, as a bug would."""

    def lose() -> None:
        for pipe in simulation.pipes:
            pipe.flying.clear()
            pipe.cut = True

    return lose


def test_the_simulation_notices_a_deadlock() -> None:
    simulation = Simulation(Case(Random(3)).flow, 3, processes=2)
    with pytest.raises(DeadlockError, match="process 0"):
        simulation.run(at_turn={5: _deadlocking(simulation)})


class TwoDistantItems(StatefulSourcePartition[tuple[str, int], int]):
    """Gives an item, and another a minute later by the simulated clock."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.given = 0

    def next_batch(self) -> list[tuple[str, int]]:
        if self.given == 2:
            raise StopIteration
        self.given += 1
        return [("key", self.given)]

    def next_awake(self) -> datetime | None:
        return None if self.given == 0 else EPOCH + timedelta(seconds=60)

    def snapshot(self) -> int:
        return self.given


class TwoDistantItemsSource(FixedPartitionedSource[tuple[str, int], int]):
    clock: Clock

    def list_parts(self) -> list[str]:
        return ["only"]

    def build_part(self, step_id: str, for_part: str, resume_state: int | None) -> TwoDistantItems:
        return TwoDistantItems(self.clock)


@pytest.mark.parametrize("seed", SEEDS[:3])
def test_timeouts_of_collect_follow_the_clock_of_the_worker(seed: int) -> None:
    out: list[Any] = []
    flow = Dataflow("distant")
    source = TwoDistantItemsSource()
    items = op.input("inp", flow, source)
    lists = op.collect("collect", items, timedelta(seconds=10), 2)
    op.output("out", lists, TestingSink(out))
    simulation = Simulation(flow, seed, epoch_interval=5.0)
    source.clock = simulation.clock
    simulation.run()
    assert out == [("key", [1]), ("key", [2])]
