"""Strangers at the mesh port, while the cluster assembles and while it runs."""

import contextlib
import os
import signal
import socket
import threading
from collections.abc import Callable
from contextlib import ExitStack

import pytest

from tests.engine.running import Launcher, Running, free_ports

FLOW = """
import os
import engine.operators as op
from engine.connectors.stdio import StdOutSink
from engine.dataflow import Dataflow
from engine.inputs import DynamicSource, StatelessSourcePartition

class Numbers(StatelessSourcePartition):
    # Gives 1 to 1000, and ends only once the file `go` is there.
    def __init__(self):
        self.left = 1000
    def next_batch(self):
        if self.left == 1 and not os.path.exists("go"):
            return []
        if not self.left:
            raise StopIteration
        self.left -= 1
        return [self.left + 1]

class NumbersSource(DynamicSource):
    def build(self, step_id, worker_index, worker_count):
        return Numbers()

flow = Dataflow("numbers")
numbers = op.input("numbers", flow, NumbersSource())
keyed = op.key_on("key", numbers, lambda n: str(n % 10))
total = op.reduce_final("sum", keyed, lambda a, b: a + b)
all_ = op.reduce_final("all", op.map("one", total, lambda kv: ("all", kv[1])), lambda a, b: a + b)
op.output("out", all_, StdOutSink())
"""
TOTAL = "('all', 1001000)\n"
MOST_MIB = 60

Attack = Callable[[int, ExitStack], None]


def connect(port: int, stack: ExitStack) -> socket.socket:
    return stack.enter_context(socket.create_connection(("127.0.0.1", port), timeout=5))


def random_bytes(port: int, stack: ExitStack) -> None:
    for _ in range(20):
        with contextlib.suppress(OSError):
            connect(port, stack).sendall(os.urandom(10_000))


def giant_length(port: int, stack: ExitStack) -> None:
    for prefix in (b"HOSTMESH\x01" + b"\xff" * 8, b"HOSTMESH\x01" + (1 << 40).to_bytes(8, "big")):
        with contextlib.suppress(OSError):
            connect(port, stack).sendall(prefix + bytes(1 << 20))


def slow_trickle(port: int, stack: ExitStack) -> None:
    """One byte now and then, for as long as the test takes."""
    done = threading.Event()

    def trickle(sock: socket.socket) -> None:
        with contextlib.suppress(OSError):
            for byte in b"HOSTMESH\x01\x00\x00\x00\x00\x00\x00\x10\x00" + bytes(1000):
                sock.sendall(bytes([byte]))
                if done.wait(0.05):
                    return

    threads = [threading.Thread(target=trickle, args=(connect(port, stack),)) for _ in range(5)]
    for thread in threads:
        thread.start()
        stack.callback(thread.join)
    stack.callback(done.set)


def silent_connections(port: int, stack: ExitStack) -> None:
    for _ in range(200):
        connect(port, stack)


ATTACKS = [random_bytes, giant_length, slow_trickle, silent_connections]


def finish(start: Launcher, cluster: list[Running]) -> None:
    start.write("go", "")
    peaks = [each.peak_mib for each in cluster if not each.ended]
    assert [each.code() for each in cluster] == [0, 0], cluster[0].err + cluster[1].err
    assert cluster[0].out + cluster[1].out == TOTAL
    assert all(peak < MOST_MIB for peak in peaks)


@pytest.mark.parametrize("attack", ATTACKS)
def test_strangers_while_the_cluster_assembles(start: Launcher, attack: Attack) -> None:
    flow = start.write("flow.py", FLOW)
    ports = free_ports(2)
    first = start.member(flow, 0, ports)
    first.prints("process 1")
    with ExitStack() as stack:
        attack(ports[0], stack)
        second = start.member(flow, 1, ports)
        second.prints("connected to process 0")
        finish(start, [first, second])


@pytest.mark.parametrize("attack", ATTACKS)
def test_strangers_while_the_cluster_runs(start: Launcher, attack: Attack) -> None:
    flow = start.write("flow.py", FLOW)
    ports = free_ports(2)
    cluster = [start.member(flow, each, ports) for each in range(2)]
    for each in cluster:
        each.prints("connected to process")
    with ExitStack() as stack:
        for port in ports:
            attack(port, stack)
        finish(start, cluster)


def test_a_stop_in_order_under_attack(start: Launcher) -> None:
    flow = start.write("flow.py", FLOW)
    ports = free_ports(2)
    cluster = [start.member(flow, each, ports) for each in range(2)]
    for each in cluster:
        each.prints("connected to process")
    with ExitStack() as stack:
        silent_connections(ports[0], stack)
        random_bytes(ports[1], stack)
        cluster[1].send(signal.SIGTERM)
        assert [each.code() for each in cluster] == [0, 0]
