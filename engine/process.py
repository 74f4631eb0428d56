"""One process of a cluster, from its start to its end.

The main thread takes events, one at a time, from the workers, the mesh and signal handlers.
A process that ends because of a failure tells its peers in a message of type `ending`.
"""

import contextlib
import logging
import queue
import threading
import time
from typing import TYPE_CHECKING, NamedTuple

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
from engine.settings import ClusterSettings
from engine.stopwatch import Stopwatch
from engine.threads import WorkerThreads
from engine.worker import EpochDone, InputEnded, Report

if TYPE_CHECKING:
    from engine.mesh.control import Mesh

_log = logging.getLogger("engine.process")

EXIT_CODES: dict[Reason, int] = {"finished": 0, "terminated": 0, "interrupted": 130}

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


class Woken(NamedTuple):
    """There may be something new to wait for."""


Event = Report | MeshEvent | StopAsked | WorkerFailed | LinkLost | Woken


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
        self._stopwatch = Stopwatch()
        # With peers, only the main thread uses the member.
        self._member_lock = threading.Lock()

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
        with self._member_lock:
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
            report=self._report if self._mesh is None else self._events.put,
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

    def _report(self, report: Report) -> None:
        """Take what a worker has reached, in its thread, where there are no peers to tell.

        The next epoch is then asked for without a detour over the main thread, which with an
        interval of 0 would take longer than all else.
        """
        now = time.monotonic()
        with self._member_lock:
            self._member.report(report, now)
        if self._member.reason is not None or self._member.due is not None:
            self._events.put(Woken())

    def _handle_next(self) -> None:
        timeout = self._timeout()
        if timeout is not None and timeout <= 0:
            self._do_what_is_due()
        else:
            with contextlib.suppress(queue.Empty):
                self._handle(self._events.get(timeout=timeout))
        self.stats.generation, self.stats.epoch = self._member.generation, self._member.epoch

    def _handle(self, event: Event) -> None:
        match event:
            case EpochDone() | InputEnded():
                self._member.report(event, time.monotonic())
            case Woken():
                pass
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
        dues += [due for due in (self._member.due, self._stopwatch.due) if due is not None]
        return min(dues) - time.monotonic() if dues else None

    def _do_what_is_due(self) -> None:
        now = time.monotonic()
        for process, (due, reason) in list(self._suspects.items()):
            if due <= now:
                del self._suspects[process]
                address = str(self._settings.addresses[process])
                self._fail(PeerLostError(process, address, reason))
        if self._stopwatch.due is not None and self._stopwatch.due <= now:
            busy = self._threads.busy(self._stopwatch.patience) if self._threads else []
            self._stopwatch.look(now, busy)
        with self._member_lock:
            self._member.tick(now)

    def _stop(self, reason: Reason) -> None:
        now = time.monotonic()
        if self._threads is not None:
            _log.info("stopping the cluster in order; a second signal ends this process at once")
        if self._is_assembled:
            self._stopwatch.begin(now)
            if self._mesh is not None:
                self._mesh.broadcast({"type": "stopping"})
            with self._member_lock:
                self._member.stop(reason, now)
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
            case {"type": "stopping"}:
                self._stopwatch.begin(time.monotonic())
            case {"type": "bye"}:
                self._gone.add(process)
                self._suspect(process, "it has left the cluster")
            case _:
                if not self._member.receive(process, message, time.monotonic()):
                    _log.warning("ignored a message of process %d: %.200r", process, message)

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
