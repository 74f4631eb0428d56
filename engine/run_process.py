"""Run one process with what belongs to it as a program: signals, limits, logs, health, report."""

import os
import signal

from engine import logs
from engine.coordinator import Reason
from engine.dataflow import Dataflow
from engine.ending import end_at_once
from engine.failure import first
from engine.process import EXIT_CODES, Process
from engine.report import report
from engine.settings import ClusterSettings

_GC_THRESHOLD = 50_000


def run_process(flow: Dataflow, settings: ClusterSettings) -> int:
    """Run this process to its end, with its signals, logs, health and failure report.

    It takes over SIGTERM and SIGINT for good.

    Args:
        flow: The dataflow.
        settings: Of this process.

    Returns:
        The exit code. If a worker is stuck in user code the process is ended here instead.

    Raises:
        EngineError: If it cannot be started.
    """
    logs.configure(settings.process_id)
    _allow_many_files()
    _collect_less_garbage()
    process = Process(flow, settings)
    _install_signals(process)
    server = None
    if settings.health is not None:
        # Few processes are asked for their health.
        from engine.health import HealthServer

        server = HealthServer(settings.health, process.stats)
        server.start()
    try:
        outcome = process.run()
    finally:
        if server is not None:
            server.close()
    if outcome.failures:
        report(first(outcome.failures), settings.report_fd)
    if outcome.stuck:
        end_at_once(outcome.exit_code)
    return outcome.exit_code


def _allow_many_files() -> None:
    """Raise the limit of open files as far as it goes: partitions of sources may be many."""
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def _collect_less_garbage() -> None:
    """Have batches come and go without a look at each of their items.

    A batch is thousands of tuples that are freed by their reference counts. By default Python
    searches for cycles every 700 of them, which takes a tenth of the time of a dataflow.
    """
    import gc

    gc.freeze()
    gc.set_threshold(_GC_THRESHOLD, 20, 20)


def _install_signals(process: Process) -> None:
    """The first signal ends the cluster in order, the second this process at once."""
    reasons: dict[int, Reason] = {signal.SIGTERM: "terminated", signal.SIGINT: "interrupted"}
    seen: list[int] = []

    def handle(number: int, _frame: object) -> None:
        if seen:
            os._exit(EXIT_CODES["interrupted"])
        seen.append(number)
        process.ask_to_stop(reasons[number])

    for number in reasons:
        signal.signal(number, handle)
