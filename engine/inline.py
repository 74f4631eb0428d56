"""Run a dataflow on one worker in the calling thread, for tests and notebooks."""

import time
from collections import deque

from engine.coordinator import CloseEpoch, Coordinator, End, Order
from engine.dataflow import Dataflow
from engine.inputs import AbortExecution
from engine.logs import context
from engine.messages import Message
from engine.partitions import assign, list_partitions
from engine.plan import compile_plan
from engine.worker import EpochDone, InputEnded, Report, Worker


class _Loopback:
    """The outlet of an only worker."""

    worker: Worker

    def is_remote(self, _worker: int) -> bool:
        return False

    def send(self, _worker: int, message: Message) -> None:
        self.worker.deliver(message)


def run_inline(flow: Dataflow, epoch_interval: float) -> None:
    """Run a dataflow to its end.

    Args:
        flow: The dataflow.
        epoch_interval: Seconds from one epoch to the next.

    Raises:
        DataflowError: If the dataflow is not well formed.
        DataflowRuntimeError: If user code fails.
    """
    plan = compile_plan(flow)
    parts = assign(plan, [list_partitions(plan, 0, 0)], 1)
    outlet = _Loopback()
    reports: deque[Report] = deque()
    outlet.worker = worker = Worker(
        plan,
        0,
        1,
        process=0,
        parts=parts,
        outlet=outlet,
        report=reports.append,
        one_poll=epoch_interval == 0,
    )
    try:
        worker.build()
        _loop(worker, Coordinator(1, epoch_interval, 1, time.monotonic()), reports)
    except AbortExecution:
        return
    finally:
        worker.abandon()
        context.worker = context.step = None


def _loop(worker: Worker, coordinator: Coordinator, reports: deque[Report]) -> None:
    while True:
        worked = worker.step()
        now = time.monotonic()
        orders: list[Order] = []
        while reports:
            match reports.popleft():
                case EpochDone(_, epoch, idle):
                    orders += coordinator.epoch_done(0, epoch, idle=idle, now=now)
                case InputEnded():
                    orders += coordinator.input_ended(0, now)
        orders += coordinator.tick(now)
        for order in orders:
            if isinstance(order, CloseEpoch):
                worker.request_barrier(order.epoch, last=order.last)
            elif isinstance(order, End):
                return
        if not worked and not orders:
            due = coordinator.due
            wait = worker.idle_seconds()
            time.sleep(wait if due is None else max(0.0, min(wait, due - now)))
