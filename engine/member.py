"""A process's part in the life of its cluster, from the assembled mesh to the end; no I/O.

Processes tell each other, as JSON objects with a `type`:

    parts        to 0     the partitions that this process lists
    start        from 0   generation, first epoch, and which worker has which partition
    close_epoch  from 0   inject a barrier
    epoch_done   to 0     every worker of this process has closed an epoch
    input_ended  to 0     every worker of this process has worked off all input
    stop         to 0     end in order
    commit       from 0   all processes have closed an epoch
    end          from 0   the last epoch is committed
"""

from typing import Any, Protocol

from engine.coordinator import CloseEpoch, Commit, Coordinator, End, Order, Reason
from engine.partitions import Assignment, Listing, assign
from engine.plan import Plan
from engine.settings import ClusterSettings
from engine.worker import EpochDone, InputEnded, Report

ControlMessage = dict[str, Any]


class Host(Protocol):
    """What a member has done for it by the process that it is part of."""

    def tell(self, process: int, message: ControlMessage) -> None:
        """Send a message to a peer."""
        ...

    def start_workers(self, epoch: int, parts: Assignment) -> None:
        """Start the workers of this process, at an epoch."""
        ...

    def request_barrier(self, epoch: int, *, last: bool) -> None:
        """Have all workers of this process close an epoch."""
        ...


class Member:
    """A process's part in the life of its cluster; process 0 coordinates.

    Args:
        plan: The plan.
        settings: Of this process.
        host: Does what has to be done.
    """

    def __init__(self, plan: Plan, settings: ClusterSettings, host: Host) -> None:
        self.reason: Reason | None = None
        self.epoch = 0
        self.generation = 0
        self._plan = plan
        self._settings = settings
        self._host = host
        self._id = settings.process_id
        self._coordinator: Coordinator | None = None
        self._listings: dict[int, Listing] = {}
        self._epoch_done: list[EpochDone] = []
        self._input_ended: set[int] = set()

    @property
    def due(self) -> float | None:
        """When `tick` has something to do, in monotonic seconds."""
        return self._coordinator.due if self._coordinator else None

    @property
    def running(self) -> bool:
        """Whether the workers have been started, and are not at their end."""
        return self.epoch > 0 and self.reason is None

    def assembled(self, listing: Listing, now: float) -> None:
        """All peers are connected; `listing` is what this process lists."""
        self._tell_coordinator({"type": "parts", "parts": listing}, now)

    def tick(self, now: float) -> None:
        """Do what is due."""
        if self._coordinator:
            self._obey(self._coordinator.tick(now), now)

    def stop(self, reason: Reason, now: float) -> None:
        """End the whole cluster in order."""
        self._tell_coordinator({"type": "stop", "reason": reason}, now)

    def report(self, report: Report, now: float) -> None:
        """Take what a worker of this process has reached."""
        workers = self._settings.workers
        match report:
            case EpochDone(_, epoch, _):
                self._epoch_done.append(report)
                if len(self._epoch_done) == workers:
                    idle = all(each.idle for each in self._epoch_done)
                    self._epoch_done.clear()
                    message = {"type": "epoch_done", "epoch": epoch, "idle": idle}
                    self._tell_coordinator(message, now)
            case InputEnded(worker):
                self._input_ended.add(worker)
                if len(self._input_ended) == workers:
                    self._tell_coordinator({"type": "input_ended"}, now)

    def receive(self, process: int, message: ControlMessage, now: float) -> bool:
        """Take what a process has told; tell whether it makes sense."""
        if self._id == 0 and self._receive_as_coordinator(process, message, now):
            return True
        match message:
            case {"type": "start", "generation": generation, "epoch": epoch, "parts": parts}:
                self.generation, self.epoch = generation, epoch
                self._host.start_workers(epoch, parts)
            case {"type": "close_epoch", "epoch": epoch, "last": last}:
                self._host.request_barrier(epoch, last=last)
            case {"type": "commit", "epoch": epoch}:
                self.epoch = epoch + 1
            case {"type": "end", "reason": reason}:
                self.reason = reason
            case _:
                return False
        return True

    def _receive_as_coordinator(self, process: int, message: ControlMessage, now: float) -> bool:
        coordinator = self._coordinator
        match message:
            case {"type": "parts", "parts": listing}:
                self._listed(process, listing, now)
            case {"type": "epoch_done", "epoch": epoch, "idle": idle} if coordinator:
                self._obey(coordinator.epoch_done(process, epoch, idle=idle, now=now), now)
            case {"type": "input_ended"} if coordinator:
                self._obey(coordinator.input_ended(process, now), now)
            case {"type": "stop", "reason": reason} if coordinator:
                self._obey(coordinator.stop(reason, now), now)
            case {"type": "stop", "reason": reason}:
                # Nobody has started: there is nothing to put in order.
                self._tell_all({"type": "end", "reason": reason}, now)
            case _:
                return False
        return True

    def _listed(self, process: int, listing: Listing, now: float) -> None:
        self._listings[process] = listing
        count = self._settings.process_count
        if len(self._listings) < count:
            return
        listings = [self._listings[each] for each in range(count)]
        parts = assign(self._plan, listings, self._settings.workers)
        self._coordinator = Coordinator(count, self._settings.epoch_interval, 1, now)
        self._tell_all({"type": "start", "generation": 1, "epoch": 1, "parts": parts}, now)

    def _obey(self, orders: list[Order], now: float) -> None:
        for order in orders:
            match order:
                case CloseEpoch(epoch, last):
                    self._tell_all({"type": "close_epoch", "epoch": epoch, "last": last}, now)
                case Commit(epoch):
                    self._tell_all({"type": "commit", "epoch": epoch}, now)
                case End(reason):
                    self._tell_all({"type": "end", "reason": reason}, now)

    def _tell_coordinator(self, message: ControlMessage, now: float) -> None:
        if self._id == 0:
            self.receive(0, message, now)
        else:
            self._host.tell(0, message)

    def _tell_all(self, message: ControlMessage, now: float) -> None:
        for process in range(1, self._settings.process_count):
            self._host.tell(process, message)
        self.receive(0, message, now)
