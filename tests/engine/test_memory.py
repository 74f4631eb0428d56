"""Memory stays bounded whatever the input: peak memory of real processes."""

import subprocess
import sys
from pathlib import Path

import pytest

PRELUDE = """
import sys, threading, time
import engine.operators as op
from engine.dataflow import Dataflow
from engine.inputs import DynamicSource, StatelessSourcePartition
from engine.outputs import DynamicSink, StatelessSinkPartition
from engine.testing import TestingSource

class Count(StatelessSinkPartition):
    def __init__(self):
        self.count = 0
    def write_batch(self, items):
        self.count += len(items)
    def close(self):
        sys.stdout.write(f"{self.count}\\n")

class CountSink(DynamicSink):
    def build(self, step_id, worker_index, worker_count):
        return Count()

class Blocks(StatelessSourcePartition):
    def __init__(self, batches):
        self.left = batches
    def next_batch(self):
        if not self.left:
            raise StopIteration
        self.left -= 1
        return [bytes([n]) + bytes(6000) for n in range(100)]

class BlockSource(DynamicSource):
    def build(self, step_id, worker_index, worker_count):
        return Blocks(200 if worker_index == 0 else 0)

flow = Dataflow("memory")
"""

SLOW_WORKER = """
def slow(state, value):
    if threading.current_thread().name == "worker-1":
        time.sleep(0.0001)
    return None, value
blocks = op.input("inp", flow, BlockSource())
keyed = op.key_on("key", blocks, lambda block: str(block[0]))
op.output("out", op.stateful_map("slow", keyed, slow), CountSink())
"""

HOT_KEY = """
def slow(state, value):
    time.sleep(0.00005)
    return None, value
blocks = op.input("inp", flow, BlockSource())
keyed = op.key_on("key", blocks, lambda block: "hot")
op.output("out", op.stateful_map("slow", keyed, slow), CountSink())
"""

HUGE_FLAT_MAP = """
one = op.input("inp", flow, TestingSource([10_000_000]))
many = op.flat_map("many", one, lambda count: (n for n in range(count)))
hundredth = op.filter("hundredth", many, lambda n: n % 100 == 0)
counted = op.stateful_map("keep", op.key_on("key", hundredth, str), lambda s, v: (None, v))
op.output("out", counted, CountSink())
"""

INFLATING_MAP = """
names = op.input("inp", flow, TestingSource(range(100)))
contents = op.map("read", names, lambda _: bytes(5_000_000))
op.output("out", op.map("size", contents, len), CountSink())
"""

MIXED_SIZES = """
class Mixed(StatelessSourcePartition):
    def __init__(self, batches):
        self.left = batches
    def next_batch(self):
        if not self.left:
            raise StopIteration
        self.left -= 1
        return [("hot", b""), ("hot", bytes(1_000_000))]

class MixedSource(DynamicSource):
    def build(self, step_id, worker_index, worker_count):
        return Mixed(150 if worker_index == 0 else 0)

def slow(state, value):
    time.sleep(0.005)
    return None, len(value)
items = op.input("inp", flow, MixedSource())
op.output("out", op.stateful_map("slow", items, slow), CountSink())
"""

KILOBYTES = """
class Kilobytes(StatelessSourcePartition):
    def __init__(self, batches):
        self.left = batches
    def next_batch(self):
        if not self.left:
            raise StopIteration
        self.left -= 1
        return [("hot", bytes(1000)) for n in range(1000)]

class KilobyteSource(DynamicSource):
    def build(self, step_id, worker_index, worker_count):
        return Kilobytes(150 if worker_index == 1 else 0)

items = op.input("inp", flow, KilobyteSource())
op.output("out", op.stateful_map("length", items, lambda s, v: (None, len(v))), CountSink())
"""

MEASURE = """
import resource, subprocess, sys
done = subprocess.run(sys.argv[1:])
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss // 1024)
sys.exit(done.returncode)
"""


@pytest.mark.parametrize(
    ("flow", "shape", "items"),
    [
        pytest.param(SLOW_WORKER, "-p2", 20_000, id="a slow process"),
        pytest.param(SLOW_WORKER, "-w2", 20_000, id="a slow thread"),
        pytest.param(HOT_KEY, "-p2", 20_000, id="a hot key"),
        pytest.param(INFLATING_MAP, "-p1", 100, id="a map that makes much of little"),
        pytest.param(MIXED_SIZES, "-p2", 300, id="small items and large ones"),
        pytest.param(KILOBYTES, "-p2", 150_000, id="batches of several messages"),
        pytest.param(HUGE_FLAT_MAP, "-p2", 100_000, id="a huge flat_map"),
    ],
)
def test_peak_memory(flow: str, shape: str, items: int, tmp_path: Path) -> None:
    path = tmp_path / "flow.py"
    path.write_text(PRELUDE + flow)
    # A small process in between: Linux counts the memory of whoever starts a process as its own.
    words = [sys.executable, "-c", MEASURE, sys.executable, "-m", "engine.run", str(path), shape]
    done = subprocess.run(words, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    *counts, peak_mib = map(int, done.stdout.split())
    assert sum(counts) == items
    # The data would take 120 MB or more; an interpreter with the engine takes about 25 MiB.
    assert peak_mib < 60
