"""The workers of a process, each in a thread of its own."""

import threading
import time
from collections.abc import Callable
from typing import NamedTuple

from engine.metrics import WorkerStats
from engine.partitions import Assignment
from engine.plan import Plan
from engine.plane import Plane
from engine.settings import ClusterSettings
from engine.worker import Report, Worker


class BusyWorker(NamedTuple):
    """A worker that has been in one step for some time.

    Args:
        worker: Its index.
        step_id: The step, as far as it is known.
        seconds: For how long.
    """

    worker: int
    step_id: str | None
    seconds: float


class WorkerThreads:
    """The workers of a process, each in a thread of its own.

    Args:
        plan: The plan.
        settings: Of the process.
        plane: Carries their messages.
        report: Takes what a worker has reached, in its thread.
        failed: Takes what a worker failed with, in its thread.
        epoch: First epoch.
        parts: For each source or sink with fixed partitions, the worker of each partition.
    """

    def __init__(
        self,
        plan: Plan,
        settings: ClusterSettings,
        plane: Plane,
        *,
        report: Callable[[Report], None],
        failed: Callable[[BaseException], None],
        epoch: int,
        parts: Assignment,
    ) -> None:
        self._plane = plane
        self._failed = failed
        self._halted = False
        first = settings.process_id * settings.workers
        self._workers = [
            Worker(
                plan,
                index,
                settings.worker_count,
                process=settings.process_id,
                parts=parts,
                outlet=plane,
                report=report,
                epoch=epoch,
                one_poll=settings.epoch_interval == 0,
            )
            for index in range(first, first + settings.workers)
        ]
        self._busy_since: list[float | None] = [None] * len(self._workers)
        plane.attach(self._workers)
        self._threads = [
            threading.Thread(
                target=self._run,
                args=(position, worker),
                name=f"worker-{worker.index}",
                daemon=True,
            )
            for position, worker in enumerate(self._workers)
        ]

    @property
    def stats(self) -> list[WorkerStats]:
        """Counters of the workers."""
        return [worker.stats for worker in self._workers]

    def start(self) -> None:
        """Start all threads."""
        for worker, thread in zip(self._workers, self._threads, strict=True):
            worker.stats.thread = thread
            worker.stats.state = "running"
        for thread in self._threads:
            thread.start()

    def request_barrier(self, epoch: int, *, last: bool) -> None:
        """Have all workers close an epoch."""
        for worker in self._workers:
            worker.request_barrier(epoch, last=last)
        self._plane.wake_all()

    def busy(self, seconds: float) -> list[BusyWorker]:
        """The workers that have not come back from user code for some time."""
        now = time.monotonic()
        return [
            BusyWorker(worker.index, worker.step_id, now - since)
            for worker, since in zip(self._workers, self._busy_since, strict=True)
            if since is not None and now - since >= seconds
        ]

    def halt(self) -> None:
        """Have all workers end after what they are doing."""
        self._halted = True
        self._plane.wake_all()

    def join(self, seconds: float) -> bool:
        """Wait for the end of all threads; tell whether it has come."""
        deadline = time.monotonic() + seconds
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))
        return not any(thread.is_alive() for thread in self._threads)

    def _run(self, position: int, worker: Worker) -> None:
        plane, busy_since = self._plane, self._busy_since
        try:
            busy_since[position] = time.monotonic()
            worker.build()
            while not self._halted:
                busy_since[position] = None
                plane.poll()
                busy_since[position] = time.monotonic()
                if not worker.step():
                    busy_since[position] = None
                    plane.wait(position, worker.idle_seconds())
            worker.stats.state = "stopped"
        except BaseException as error:
            worker.stats.state = "failed"
            self._failed(error)
        finally:
            worker.abandon()
            busy_since[position] = None
