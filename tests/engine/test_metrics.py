import json
import subprocess
import sys
import threading
import time

import pytest
from prometheus_client.parser import text_string_to_metric_families

from engine.metrics import (
    BATCH_SECONDS,
    ExchangeStats,
    PeerStats,
    ProcessStats,
    StepStats,
    WorkerStats,
    prometheus_text,
)


def process(**changes) -> ProcessStats:
    """Process 1 of 2, assembled and running, with one worker that has handled a little."""
    steps = [
        StepStats("flow.inp", "input", items_out=10),
        StepStats("flow.map", items_in=10, items_out=7),
        StepStats("flow.out", "output", items_in=7),
    ]
    worker = WorkerStats(
        index=3,
        steps={step.step_id: step for step in steps},
        exchanges={0: ExchangeStats("flow.map", queued_bytes=5, credit_bytes=100, parked=True)},
        epoch=4,
        state="running",
    )
    fields = {
        "process_id": 1,
        "address": "127.0.0.1:9001",
        "workers": [worker],
        "peers": {0: PeerStats("127.0.0.1:9000", "connected", last_heard=time.monotonic())},
        "state": "running",
        "epoch": 5,
        "generation": 2,
    }
    return ProcessStats(**{**fields, **changes})


class Read:
    """The counters as a Prometheus server would read them."""

    def __init__(self, stats: ProcessStats) -> None:
        self._values = {
            (sample.name, *sorted(sample.labels.items())): sample.value
            for family in text_string_to_metric_families(prometheus_text(stats).decode())
            for sample in family.samples
        }

    def __call__(self, name: str, **labels: str) -> float:
        return self._values[(name, *sorted(labels.items()))]

    def __contains__(self, name: str) -> bool:
        return any(name == key[0] for key in self._values)


@pytest.mark.parametrize(
    ("seconds", "bucket"),
    [
        (0.0, 0),
        (BATCH_SECONDS[0], 0),
        (BATCH_SECONDS[0] * 1.01, 1),
        (BATCH_SECONDS[-1], len(BATCH_SECONDS) - 1),
        (1e9, len(BATCH_SECONDS)),
    ],
)
def test_batch_falls_into_the_bucket_whose_bound_it_does_not_exceed(seconds, bucket):
    step = StepStats("flow.map")
    step.observe(seconds)
    assert [index for index, count in enumerate(step.bucket_counts) if count] == [bucket]


def test_observed_batches_are_counted_and_timed():
    step = StepStats("flow.map")
    for _ in range(3):
        step.observe(0.5)
    assert step.status() == {
        "step_id": "flow.map",
        "items_in": 0,
        "items_out": 0,
        "batches": 3,
        "seconds": 1.5,
    }


def test_steps_share_no_counts():
    one, other = StepStats("a"), StepStats("b")
    one.observe(1.0)
    assert other.batches == 0


def test_items_of_a_process_are_those_its_inputs_read_and_its_outputs_wrote():
    stats = process()
    other = {"flow.inp": StepStats("flow.inp", "input", items_out=5)}
    stats.workers.append(WorkerStats(4, steps=other))
    assert (stats.items_in, stats.items_out) == (15, 7)


def test_status_survives_json_and_says_everything():
    status = json.loads(json.dumps(process().status()))
    assert status["id"] == 1
    assert status["pid"] > 0
    assert status["host"]
    assert status["uptime_s"] >= 0
    assert (status["state"], status["ready"], status["reason"]) == ("running", True, None)
    assert (status["epoch"], status["generation"]) == (5, 2)
    assert (status["items_in"], status["items_out"]) == (10, 7)
    (worker,) = status["workers"]
    assert (worker["worker"], worker["epoch"], worker["state"]) == (3, 4, "running")
    assert [step["step_id"] for step in worker["steps"]] == ["flow.inp", "flow.map", "flow.out"]
    assert worker["exchanges"] == [
        {
            "exchange": 0,
            "step_id": "flow.map",
            "queued_bytes": 5,
            "credit_bytes": 100,
            "parked": True,
        }
    ]
    (peer,) = status["peers"]
    assert (peer["process"], peer["state"], peer["reason"]) == (0, "connected", None)
    assert 0 <= peer["silent_s"] < 60


def test_uptime_does_not_follow_the_wall_clock():
    stats = process(started_at=0.0, started_clock=time.monotonic() - 5)
    assert 5 <= stats.status()["uptime_s"] < 60


def test_process_that_assembles_says_whom_it_misses_and_why():
    peers = {
        2: PeerStats("c:9000"),
        0: PeerStats("a:9000", reason="refused"),
        3: PeerStats("d:9000", "connected"),
    }
    stats = process(state="starting", peers=peers)
    expected = "starting: waiting for process 0 at a:9000 (refused), process 2 at c:9000"
    assert stats.not_ready() == expected
    assert stats.status()["reason"] == expected


def test_running_process_that_lost_a_peer_is_not_ready():
    stats = process(peers={0: PeerStats("a:9000", "lost", "connection closed")})
    assert stats.not_ready() == "running: waiting for process 0 at a:9000 (connection closed)"


@pytest.mark.parametrize(
    ("state", "last_error", "reason"),
    [
        ("starting", None, "starting"),
        ("finished", None, "finished"),
        ("stopped", None, "stopped"),
        ("failed", "ValueError: bad row 17", "failed: ValueError: bad row 17"),
    ],
)
def test_only_a_running_process_is_ready(state, last_error, reason):
    assert process(state=state, last_error=last_error).not_ready() == reason


def test_worker_whose_thread_died_in_silence_is_neither_alive_nor_ready():
    thread = threading.Thread(target=int)
    thread.start()
    thread.join()
    stats = process()
    stats.workers[0].thread = thread
    assert stats.not_alive() == "the thread of worker 3 has died"
    assert stats.not_ready() == "the thread of worker 3 has died"


def test_worker_whose_thread_has_not_begun_is_no_problem():
    stats = process()
    stats.workers[0].thread = threading.Thread(target=int)
    assert stats.not_alive() is None


@pytest.mark.parametrize("state", ["finished", "stopped"])
def test_worker_whose_thread_ended_as_it_should_is_no_problem(state):
    thread = threading.Thread(target=int)
    thread.start()
    thread.join()
    stats = process()
    stats.workers[0].thread, stats.workers[0].state = thread, state
    assert stats.not_alive() is None


def test_failed_worker_is_not_alive():
    stats = process()
    stats.workers[0].state = "failed"
    assert stats.not_alive() == "worker 3 has failed"


def test_prometheus_reads_steps_and_process():
    read = Read(process())
    assert read("hostmesh_step_items_total", step="flow.map", worker="3", direction="in") == 10
    assert read("hostmesh_step_items_total", step="flow.map", worker="3", direction="out") == 7
    assert read("hostmesh_items_total", direction="in") == 10
    assert read("hostmesh_items_total", direction="out") == 7
    assert read("hostmesh_epoch") == 5
    assert read("hostmesh_worker_epoch", worker="3") == 4
    assert read("hostmesh_generation") == 2
    assert read("hostmesh_ready") == 1
    assert read("process_resident_memory_bytes") > 0


def test_prometheus_reads_flow_control():
    read, labels = Read(process()), {"exchange": "0", "step": "flow.map", "worker": "3"}
    assert read("hostmesh_queue_bytes", **labels) == 5
    assert read("hostmesh_credit_bytes", **labels) == 100
    assert read("hostmesh_stage_parked", **labels) == 1


def test_prometheus_reads_peers():
    peers = {
        0: PeerStats("a:1", "connected", last_heard=time.monotonic() - 5),
        2: PeerStats("c:1"),
    }
    read = Read(process(peers=peers))
    assert read("hostmesh_peer_up", peer="0", address="a:1") == 1
    assert read("hostmesh_peer_up", peer="2", address="c:1") == 0
    assert 5 <= read("hostmesh_peer_silence_seconds", peer="0", address="a:1") < 60
    assert read("hostmesh_ready") == 0


def test_peer_that_was_never_heard_has_no_time_of_silence():
    assert "hostmesh_peer_silence_seconds" not in Read(process(peers={2: PeerStats("c:1")}))


def test_prometheus_reads_a_histogram_whose_buckets_add_up():
    stats = process()
    step = stats.workers[0].steps["flow.map"]
    for seconds in (0.0001, 0.003, 0.003, 99.0):
        step.observe(seconds)
    read, labels = Read(stats), {"step": "flow.map", "worker": "3"}
    name = "hostmesh_batch_duration_seconds"
    buckets = [read(f"{name}_bucket", **labels, le=le) for le in ("0.0001", "0.005", "30.0")]
    assert buckets == [1, 3, 3]
    assert read(f"{name}_bucket", **labels, le="+Inf") == 4
    assert read(f"{name}_count", **labels) == 4
    assert read(f"{name}_sum", **labels) == pytest.approx(99.0061)


def test_names_that_need_escapes_stay_whole():
    stats = process()
    name = 'flow."quoted"\\\nstep'
    stats.workers[0].steps = {name: StepStats(name, items_in=1)}
    read = Read(stats)
    assert read("hostmesh_step_items_total", step=name, worker="3", direction="in") == 1


def test_process_without_workers_has_metrics_and_status():
    stats = ProcessStats(0)
    assert Read(stats)("hostmesh_ready") == 0
    assert stats.status()["items_in"] == 0


def test_status_while_a_worker_adds_steps():
    stats, stop = process(), threading.Event()

    def add() -> None:
        while not stop.is_set():
            stats.workers[0].steps = {}
            for number in range(200):
                stats.workers[0].steps[str(number)] = StepStats(str(number), "input", items_out=1)

    adder = threading.Thread(target=add)
    adder.start()
    try:
        for _ in range(200):
            assert stats.status()["items_in"] <= 200
    finally:
        stop.set()
        adder.join()


def test_process_that_is_never_asked_does_not_import_prometheus():
    program = "import sys, engine.metrics; sys.exit('prometheus_client' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
