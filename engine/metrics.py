"""What a process counts while it runs, and how it is shown as status and as Prometheus text.

Workers own the counters and update them without locks: one thread writes each attribute,
the health thread only reads. A reader may see a step whose input is counted and whose
output is not yet.
"""

import os
import time
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import accumulate
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from threading import Thread

    from prometheus_client.metrics_core import Metric

State = Literal["starting", "running", "finished", "failed", "stopped"]
PeerState = Literal["missing", "connected", "lost"]
Role = Literal["input", "operator", "output"]

BATCH_SECONDS = (
    *(0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05),
    *(0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0),
)
"""Upper bounds of the buckets of batch durations, in seconds; one more bucket has no bound."""


@dataclass(slots=True)
class StepStats:
    """Counters of one step on one worker.

    Args:
        step_id: Fully qualified ID.
        role: Whether it reads from a source, writes to a sink, or neither.
        items_in: Items that came from up streams; what an output has written.
        items_out: Items that went to down streams; what an input has read.
        bucket_counts: Batches by duration, a count for each of `BATCH_SECONDS` and the rest.
        seconds: Time spent in all batches.
    """

    step_id: str
    role: Role = "operator"
    items_in: int = 0
    items_out: int = 0
    bucket_counts: list[int] = field(default_factory=lambda: [0] * (len(BATCH_SECONDS) + 1))
    seconds: float = 0.0

    def observe(self, seconds: float) -> None:
        """Count a batch that took so long."""
        self.bucket_counts[bisect_left(BATCH_SECONDS, seconds)] += 1
        self.seconds += seconds

    @property
    def batches(self) -> int:
        """Batches that were observed."""
        return sum(self.bucket_counts)

    def status(self) -> dict[str, Any]:
        """The counters, ready for JSON."""
        return {
            "step_id": self.step_id,
            "items_in": self.items_in,
            "items_out": self.items_out,
            "batches": self.batches,
            "seconds": round(self.seconds, 6),
        }


@dataclass(slots=True)
class ExchangeStats:
    """Flow control of one exchange on one worker.

    Args:
        step_id: Fully qualified ID of the step that the exchange leads to.
        queued_bytes: Received and not yet handled.
        credit_bytes: What may still be sent, over all receivers.
        parked: Whether the sending stage waits for credit.
    """

    step_id: str
    queued_bytes: int = 0
    credit_bytes: int = 0
    parked: bool = False

    def status(self) -> dict[str, Any]:
        """The state, ready for JSON."""
        return {
            "step_id": self.step_id,
            "queued_bytes": self.queued_bytes,
            "credit_bytes": self.credit_bytes,
            "parked": self.parked,
        }


@dataclass(slots=True)
class WorkerStats:
    """Counters of one worker.

    Args:
        index: Index of the worker in the cluster.
        steps: Counters by step ID.
        exchanges: Flow control by number of the exchange.
        epoch: The epoch whose items it handles.
        state: What it does.
        thread: The thread that it runs in, once there is one.
    """

    index: int
    steps: dict[str, StepStats] = field(default_factory=dict)
    exchanges: dict[int, ExchangeStats] = field(default_factory=dict)
    epoch: int = 0
    state: State = "starting"
    thread: "Thread | None" = None

    @property
    def problem(self) -> str | None:
        """Why this worker will handle no more items although it should, if so."""
        if self.state == "failed":
            return f"worker {self.index} has failed"
        if self.state in ("starting", "running") and _has_ended(self.thread):
            return f"the thread of worker {self.index} has died"
        return None

    def status(self) -> dict[str, Any]:
        """The counters, ready for JSON."""
        return {
            "worker": self.index,
            "state": self.state,
            "epoch": self.epoch,
            "steps": [step.status() for step in list(self.steps.values())],
            "exchanges": [
                {"exchange": number, **exchange.status()}
                for number, exchange in sorted(self.exchanges.copy().items())
            ],
        }


def _has_ended(thread: "Thread | None") -> bool:
    return thread is not None and thread.ident is not None and not thread.is_alive()


@dataclass(slots=True)
class PeerStats:
    """What a process knows of one of its peers.

    Args:
        address: Where the peer listens, as `host:port`.
        state: Whether it takes part.
        reason: Why it does not, as a clause, if that is known.
        last_heard: `time.monotonic()` of the last sign of life, if there was one.
    """

    address: str
    state: PeerState = "missing"
    reason: str = ""
    last_heard: float | None = None

    @property
    def silent_seconds(self) -> float | None:
        """Time since its last sign of life."""
        return None if self.last_heard is None else max(0.0, time.monotonic() - self.last_heard)

    def status(self) -> dict[str, Any]:
        """The state, ready for JSON."""
        silent = self.silent_seconds
        return {
            "address": self.address,
            "state": self.state,
            "reason": self.reason or None,
            "silent_s": None if silent is None else round(silent, 3),
        }


@dataclass(slots=True)
class ProcessStats:
    """Counters of one process.

    Args:
        process_id: Index of the process in the cluster.
        address: Where it listens for its peers, as `host:port`; empty for a cluster of one.
        workers: Counters of its workers.
        peers: The other processes by ID.
        state: What it does.
        epoch: The last epoch that was opened.
        generation: Number of the current assembly of the mesh.
        last_error: One line on what failed last.
        host: Name of its host.
        pid: Its operating system's process ID.
        started_at: When it started, as Unix time.
        started_clock: When it started, as `time.monotonic()`.
        look: Brings what is known of the peers up to date; called before it is shown.
    """

    process_id: int
    address: str = ""
    workers: list[WorkerStats] = field(default_factory=list)
    peers: dict[int, PeerStats] = field(default_factory=dict)
    state: State = "starting"
    epoch: int = 0
    generation: int = 0
    last_error: str | None = None
    host: str = field(default_factory=lambda: os.uname().nodename)
    pid: int = field(default_factory=os.getpid)
    started_at: float = field(default_factory=time.time)
    started_clock: float = field(default_factory=time.monotonic)
    look: Callable[[], None] = lambda: None

    @property
    def items_in(self) -> int:
        """Items that its inputs have read."""
        return sum(step.items_out for step in self._steps() if step.role == "input")

    @property
    def items_out(self) -> int:
        """Items that its outputs have written."""
        return sum(step.items_in for step in self._steps() if step.role == "output")

    def not_alive(self) -> str | None:
        """Why the process should be restarted, or `None` if it is alive."""
        problems = (worker.problem for worker in list(self.workers))
        return "; ".join(problem for problem in problems if problem) or None

    def not_ready(self) -> str | None:
        """Why the process does no work, or `None` if it is ready."""
        self.look()
        absent = [
            f"process {process} at {peer.address}" + (f" ({peer.reason})" if peer.reason else "")
            for process, peer in sorted(self.peers.copy().items())
            if peer.state != "connected"
        ]
        dead = self.not_alive()
        if self.state == "running" and not absent:
            return dead
        if self.state in ("starting", "running"):
            return f"{self.state}: waiting for {', '.join(absent)}" if absent else self.state
        return f"{self.state}: {self.last_error}" if self.last_error else self.state

    def status(self) -> dict[str, Any]:
        """All that is known of the process, ready for JSON."""
        reason = self.not_ready()
        return {
            "id": self.process_id,
            "host": self.host,
            "address": self.address,
            "pid": self.pid,
            "state": self.state,
            "ready": reason is None,
            "reason": reason,
            "started_at": self.started_at,
            "uptime_s": round(time.monotonic() - self.started_clock, 3),
            "epoch": self.epoch,
            "generation": self.generation,
            "items_in": self.items_in,
            "items_out": self.items_out,
            "last_error": self.last_error,
            "workers": [worker.status() for worker in list(self.workers)],
            "peers": [
                {"process": process, **peer.status()}
                for process, peer in sorted(self.peers.copy().items())
            ],
        }

    def _steps(self) -> Iterator[StepStats]:
        for worker in list(self.workers):
            yield from list(worker.steps.values())


def prometheus_text(stats: ProcessStats) -> bytes:
    """The counters in the text format of Prometheus, with CPU and memory of the process."""
    # Few processes are ever asked for it, and the import takes as long as a small flow.
    from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
    from prometheus_client.registry import Collector

    class StatsCollector(Collector):
        def collect(self) -> Iterable["Metric"]:
            yield from _process_metrics(stats)
            yield from _step_metrics(stats)
            yield from _exchange_metrics(stats)

    registry = CollectorRegistry()
    registry.register(StatsCollector())
    ProcessCollector(registry=registry)
    return generate_latest(registry)


def _process_metrics(stats: ProcessStats) -> Iterator["Metric"]:
    from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, InfoMetricFamily

    about = {"process": str(stats.process_id), "host": stats.host, "address": stats.address}
    yield InfoMetricFamily("hostmesh_process", "Which process this is.", value=about)
    ready = float(stats.not_ready() is None)
    yield GaugeMetricFamily("hostmesh_ready", "1 when assembled and running.", value=ready)
    yield GaugeMetricFamily("hostmesh_epoch", "The last epoch that was opened.", value=stats.epoch)
    yield GaugeMetricFamily(
        "hostmesh_generation", "Number of this assembly of the mesh.", value=stats.generation
    )

    items = CounterMetricFamily(
        "hostmesh_items",
        "Items read by inputs (in) and written by outputs (out).",
        labels=["direction"],
    )
    items.add_metric(["in"], stats.items_in)
    items.add_metric(["out"], stats.items_out)
    yield items

    epochs = GaugeMetricFamily(
        "hostmesh_worker_epoch", "The epoch whose items a worker handles.", labels=["worker"]
    )
    for worker in list(stats.workers):
        epochs.add_metric([str(worker.index)], worker.epoch)
    yield epochs

    up = GaugeMetricFamily(
        "hostmesh_peer_up", "1 while a peer is connected.", labels=["peer", "address"]
    )
    silence = GaugeMetricFamily(
        "hostmesh_peer_silence_seconds", "Time since a peer was heard.", labels=["peer", "address"]
    )
    for process, peer in sorted(stats.peers.copy().items()):
        labels = [str(process), peer.address]
        up.add_metric(labels, float(peer.state == "connected"))
        silent = peer.silent_seconds
        if silent is not None:
            silence.add_metric(labels, silent)
    yield up
    yield silence


def _step_metrics(stats: ProcessStats) -> Iterator["Metric"]:
    from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily

    items = CounterMetricFamily(
        "hostmesh_step_items",
        "Items that came into a step and went out of it.",
        labels=["step", "worker", "direction"],
    )
    durations = HistogramMetricFamily(
        "hostmesh_batch_duration_seconds",
        "Time that a step took for a batch.",
        labels=["step", "worker"],
    )
    bounds = [*(str(bound) for bound in BATCH_SECONDS), "+Inf"]
    for worker in list(stats.workers):
        for step in list(worker.steps.values()):
            labels = [step.step_id, str(worker.index)]
            items.add_metric([*labels, "in"], step.items_in)
            items.add_metric([*labels, "out"], step.items_out)
            cumulated = accumulate(list(step.bucket_counts), initial=0.0)
            buckets = list(zip(bounds, list(cumulated)[1:], strict=True))
            durations.add_metric(labels, buckets, step.seconds)
    yield items
    yield durations


def _exchange_metrics(stats: ProcessStats) -> Iterator["Metric"]:
    from prometheus_client.core import GaugeMetricFamily

    labels = ["exchange", "step", "worker"]
    queued = GaugeMetricFamily(
        "hostmesh_queue_bytes", "Received and not yet handled.", labels=labels
    )
    credit = GaugeMetricFamily(
        "hostmesh_credit_bytes", "What may still be sent, over all receivers.", labels=labels
    )
    parked = GaugeMetricFamily(
        "hostmesh_stage_parked", "1 while the sending stage waits for credit.", labels=labels
    )
    for worker in list(stats.workers):
        for number, exchange in sorted(worker.exchanges.copy().items()):
            values = [str(number), exchange.step_id, str(worker.index)]
            queued.add_metric(values, exchange.queued_bytes)
            credit.add_metric(values, exchange.credit_bytes)
            parked.add_metric(values, float(exchange.parked))
    yield queued
    yield credit
    yield parked
