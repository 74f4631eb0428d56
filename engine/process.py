"""One process of a cluster, from its start to its end.

The main thread takes events, one at a time, from the workers, the mesh and signal handlers.
A process that ends because of a failure tells its peers in a message of type `ending`.
"""

import logging
import os
import queue
import signal
import sys
import time
from typing import TYPE_CHECKING, NamedTuple

from engine import logs
from engine.coordinator import Reason
from engine.dataflow import Dataflow
from engine.errors import DataflowRuntimeError, PeerLostError
from engine.failure import Failure, first
from engine.inputs import AbortExecution
from engine.member import ControlMessage, Member
from engine.mesh.reports import Assembled, DataLink, MeshEvent, MeshFailed, Message, PeerLost
from engine.metrics import PeerStats, ProcessStats
from engine.partitions import Assignment, list_partitions
from engine.plan import compile_plan
from engine.plane import Plane
from engine.report import report
from engine.settings import ClusterSettings
from engine.threads import WorkerThreads
from engine.worker import EpochDone, InputEnded, Report

if TYPE_CHECKING:
    from engine.mesh.control import Mesh

_log = logging.getLogger("engine.process")

EXIT_CODES: dict[Reason, int] = {"finished": 0, "terminated": 0, "interrupted": 130}

_GC_THRESHOLD = 50_000

_FAREWELL_SECONDS = 1.0
"""How long to wait for what peers know of a failure."""


class StopAsked(NamedTuple):
    """A signal asks for an ordered end."""

    reason: Reason


class WorkerFailed(NamedTuple):
    """A worker cannot go on."""

    error: BaseException


class LinkLost(NamedTuple):
    """A data connection broke."""

    process: int
    reason: str


Event = Report | MeshEvent | StopAsked | WorkerFailed | LinkLost


class Outcome(NamedTuple):
    """How a process ended.

    Args:
        process: Its ID.
        reason: Why it ended in order, if it did.
        failures: What went wrong, here and elsewhere, as far as it is known here.
        error: The exception behind the failure that happened here, if one did.
        stuck: Whether a worker is still in user code.
    """

    process: int
    reason: Reason | None
    failures: tuple[Failure, ...] = ()
    error: BaseException | None = None
    stuck: bool = False

    @property
    def exit_code(self) -> int:
        """What the process ends with."""
        if self.failures:
            return first(self.failures).exit_code
        return EXIT_CODES[self.reason] if self.reason else 0

    def raise_failure(self) -> None:
        """Raise what went wrong, if anything did.

        Raises:
            EngineError: What failed here, or what is known of what failed elsewhere.
        """
        if not self.failures:
            return
        failure = first(self.failures)
        if self.error is not None and failure.process == self.process:
            raise self.error
        worker = 0 if failure.worker is None else failure.worker
        what = f"{failure.kind}: {failure.message}"
        raise DataflowRuntimeError(failure.step or "", worker, failure.process, what)


class Process:
    """One process of a cluster.

    Args:
        flow: The dataflow.
        settings: Of this process.

    Raises:
        DataflowError: If the dataflow is not well formed.
    """

    def __init__(self, flow: Dataflow, settings: ClusterSettings) -> None:
        self._flow = flow
        self._plan = compile_plan(flow)
        self._settings = settings
        self._id = settings.process_id
        address = str(settings.addresses[self._id]) if settings.addresses else ""
        self.stats = ProcessStats(self._id, address=address)
        self._events: queue.SimpleQueue[Event] = queue.SimpleQueue()
        self._mesh: Mesh | None = None
        self._is_assembled = False
        self._links: dict[int, DataLink] = {}
        self._plane: Plane | None = None
        self._threads: WorkerThreads | None = None
        self._member = Member(self._plan, settings, self)
        self._suspects: dict[int, tuple[float, str]] = {}
        self._gone: set[int] = set()
        self._failures: list[Failure] = []
        self._error: BaseException | None = None
        self._reason: Reason | None = None
        self._aborted = False

    def ask_to_stop(self, reason: Reason) -> None:
        """End the whole cluster in order; callable from any thread or signal handler."""
        self._events.put(StopAsked(reason))

    def run(self) -> Outcome:
        """Run to the end; no exception leaves this method."""
        try:
            self._assemble()
            while not self._over():
                self._handle_next()
        except BaseException as error:
            self._fail(error)
        stuck = self._end()
        return Outcome(self._id, self._reason, tuple(self._failures), self._error, stuck)

    def _over(self) -> bool:
        self._reason = self._reason or self._member.reason
        return self._reason is not None or bool(self._failures) or self._aborted

    # Starting.

    def _assemble(self) -> None:
        peers = [each for each in range(self._settings.process_count) if each != self._id]
        for peer in peers:
            self.stats.peers[peer] = PeerStats(str(self._settings.addresses[peer]))
        if not peers:
            self._events.put(Assembled({}))
            return
        # A cluster of one process does without hashes and sockets, and starts sooner for it.
        from engine import __version__
        from engine.fingerprint import fingerprint
        from engine.mesh.assembly import listen
        from engine.mesh.control import Mesh
        from engine.mesh.hello import Hello

        hello = Hello.of(self._settings, engine=__version__, fingerprint=fingerprint(self._flow))
        listener = listen(self._settings, hello)
        self._mesh = Mesh(self._settings, hello, listener, self._events.put)
        self._mesh.start()
        self.stats.look = self._look_at_peers

    def _assembled(self, links: dict[int, DataLink]) -> None:
        self._links = links
        self._is_assembled = True
        first_worker = self._id * self._settings.workers
        listing = list_partitions(self._plan, first_worker, self._id)
        self._member.assembled(listing, time.monotonic())

    def _look_at_peers(self) -> None:
        """Bring what health shows of the peers up to date; called by the thread of health."""
        if self._mesh is None:
            return
        for process, view in self._mesh.view().items():
            peer = self.stats.peers[process]
            peer.last_heard = view.last_heard
            if peer.state == "lost":
                continue
            peer.state = "connected" if view.connected else "missing"
            peer.reason = view.reason

    # What the member has done for it.

    def tell(self, process: int, message: ControlMessage) -> None:
        """Send a message to a peer."""
        if self._mesh is not None:
            self._mesh.send(process, message)

    def start_workers(self, epoch: int, parts: Assignment) -> None:
        """Start the workers, each in a thread of its own."""
        plane = Plane(self._settings)
        if self._links:
            from engine.mesh.plane import MeshPlane

            plane = MeshPlane(
                self._settings, self._links, lambda *lost: self._events.put(LinkLost(*lost))
            )
        self._plane = plane
        self._threads = WorkerThreads(
            self._plan,
            self._settings,
            plane,
            report=self._events.put,
            failed=lambda error: self._events.put(WorkerFailed(error)),
            epoch=epoch,
            parts=parts,
        )
        self.stats.workers = self._threads.stats
        self.stats.state = "running"
        self._threads.start()

    def request_barrier(self, epoch: int, *, last: bool) -> None:
        """Have all workers close an epoch."""
        if self._threads is not None:
            self._threads.request_barrier(epoch, last=last)

    # Running.

    def _handle_next(self) -> None:
        timeout = self._timeout()
        if timeout is not None and timeout <= 0:
            self._do_what_is_due()
            return
        try:
            self._handle(self._events.get(timeout=timeout))
        except queue.Empty:
            return

    def _handle(self, event: Event) -> None:
        match event:
            case EpochDone() | InputEnded():
                self._member.report(event, time.monotonic())
            case Message(process, message):
                self._receive(process, message)
            case Assembled(links):
                self._assembled(links)
            case StopAsked(reason):
                self._stop(reason)
            case WorkerFailed(AbortExecution()):
                _log.warning("a source has aborted the run; nothing more is done")
                self._aborted = True
            case WorkerFailed(error) | MeshFailed(error):
                self._fail(error)
            case PeerLost(process, address, reason):
                self._gone.add(process)
                self.stats.peers[process].state = "lost"
                self.stats.peers[process].reason = reason
                self._fail(PeerLostError(process, address, reason))
            case LinkLost(process, reason):
                self._suspect(process, f"its data connection: {reason}")

    def _timeout(self) -> float | None:
        dues = [due for due, _ in self._suspects.values()]
        if self._member.due is not None:
            dues.append(self._member.due)
        return min(dues) - time.monotonic() if dues else None

    def _do_what_is_due(self) -> None:
        now = time.monotonic()
        for process, (due, reason) in list(self._suspects.items()):
            if due <= now:
                del self._suspects[process]
                address = str(self._settings.addresses[process])
                self._fail(PeerLostError(process, address, reason))
        self._member.tick(now)

    def _stop(self, reason: Reason) -> None:
        if self._threads is not None:
            _log.info("stopping the cluster in order; a second signal ends this process at once")
        if self._is_assembled:
            self._member.stop(reason, time.monotonic())
            return
        # Nobody can have started without this process.
        if self._mesh is not None:
            self._mesh.broadcast({"type": "end", "reason": reason})
        self._reason = reason

    def _receive(self, process: int, message: ControlMessage) -> None:
        match message:
            case {"type": "ending", "failure": failure}:
                self._gone.add(process)
                self._failures.append(Failure.from_json(failure))
            case {"type": "bye"}:
                self._gone.add(process)
                self._suspect(process, "it has left the cluster")
            case _:
                if not self._member.receive(process, message, time.monotonic()):
                    _log.warning("ignored a message of process %d: %.200r", process, message)
        self.stats.generation, self.stats.epoch = self._member.generation, self._member.epoch

    def _suspect(self, process: int, reason: str) -> None:
        """A peer is gone; why, the word of the coordinator may tell that is still under way."""
        self._suspects[process] = (time.monotonic() + _FAREWELL_SECONDS, reason)

    # Ending.

    def _fail(self, error: BaseException) -> None:
        self._error = self._error or error
        self._failures.append(Failure.of(error, process=self._id))

    def _end(self) -> bool:
        """Halt the workers and part from the peers; tell whether a worker does not halt."""
        if self._threads is not None:
            self._threads.halt()
        if self._failures:
            self.stats.state = "failed"
            failure = first(self._failures)
            self.stats.last_error = " ".join(f"{failure.kind}: {failure.message}".split())
            self._part_on_failure()
        else:
            self.stats.state = "finished" if self._reason == "finished" else "stopped"
        stuck = self._threads is not None and not self._threads.join(_FAREWELL_SECONDS)
        if self._mesh is not None:
            self._mesh.close()
        if self._plane is not None and not stuck:
            self._plane.close()
        return stuck

    def _part_on_failure(self) -> None:
        """Tell the peers why, and hear for a moment what they know: theirs may come first."""
        if self._mesh is None:
            return
        failure = first(self._failures)
        self._mesh.broadcast({"type": "ending", "failure": failure.to_json()})
        deadline = time.monotonic() + _FAREWELL_SECONDS
        waiting_for = set(self.stats.peers) - self._gone
        while not waiting_for <= self._gone:
            try:
                event = self._events.get(timeout=max(0.0, deadline - time.monotonic()))
            except queue.Empty:
                return
            match event:
                case Message(process, {"type": "ending", "failure": other}):
                    self._failures.append(Failure.from_json(other))
                    self._gone.add(process)
                case Message(process, {"type": "bye"}) | PeerLost(process):
                    self._gone.add(process)
                case WorkerFailed(error) if not isinstance(error, AbortExecution):
                    self._failures.append(Failure.of(error, process=self._id))


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
        _end_at_once(outcome.exit_code)
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


def _end_at_once(code: int) -> None:
    """End although a worker is still in user code; what was printed is not lost."""
    logging.shutdown()
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:
            stream.flush()
    os._exit(code)
