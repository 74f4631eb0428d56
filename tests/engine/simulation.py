"""A cluster on a simulated network and clock: real workers, members and connections.

Whatever could happen next (a worker's step, the arrival of some bytes, a tick) is chosen by
a seeded random generator, so that a run that fails can be replayed from its seed.
"""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from random import Random

from engine.dataflow import Dataflow
from engine.errors import DataflowRuntimeError
from engine.member import Member
from engine.mesh.hello import Fingerprint, Hello, Purpose
from engine.mesh.protocol import Closed, Connection, ControlMessage, ProtocolError
from engine.messages import Barrier, Credit, Encoded, EndOfInput, Items, Message
from engine.partitions import Assignment, list_partitions
from engine.plan import Plan, compile_plan
from engine.settings import Address, ClusterSettings
from engine.worker import Report, Worker

EPOCH = datetime(2026, 1, 1, tzinfo=UTC)
MOST_TURNS = 2_000_000


class DeadlockError(AssertionError):
    """Nothing can happen any more, and yet the cluster has not ended."""


class Clock:
    """Simulated time."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def now(self) -> datetime:
        return EPOCH + timedelta(seconds=self.seconds)


@dataclass
class Pipe:
    """Bytes under way from one connection to another."""

    source: Connection
    target: Connection
    receiver: "SimulatedProcess"
    peer: int
    purpose: str
    flying: deque[bytes] = field(default_factory=deque)
    cut: bool = False

    def pump(self) -> None:
        """Take what the source wants to send."""
        while self.source.pending and not self.cut:
            chunk = b"".join(bytes(buffer) for buffer in self.source.to_send())
            self.source.sent(len(chunk))
            self.flying.append(chunk)

    def arrive(self, random: Random, now: float) -> bool:
        """Let some of the bytes arrive."""
        self.pump()
        if not self.flying or not self.receiver.reads(self.purpose):
            return False
        chunk = self.flying.popleft()
        buffer = self.target.get_buffer()
        count = min(len(buffer), len(chunk), random.choice((1, 40, 1 << 16, 1 << 16)))
        buffer[:count] = chunk[:count]
        if count < len(chunk):
            self.flying.appendleft(chunk[count:])
        for event in self.target.received(count, now):
            self.receiver.take(self.peer, event)
        return True


class SimulatedProcess:
    """What `engine.process` is around a member and its workers, without threads and sockets."""

    def __init__(self, plan: Plan, settings: ClusterSettings, clock: Clock) -> None:
        self.settings = settings
        self.id = settings.process_id
        self.member = Member(plan, settings, self)
        self.workers: list[Worker] = []
        self.control: dict[int, Connection] = {}
        self.data: dict[int, Connection] = {}
        self.lost: set[int] = set()
        self.error: DataflowRuntimeError | None = None
        self._plan = plan
        self._clock = clock
        self._reports: deque[Report] = deque()

    @property
    def over(self) -> bool:
        return self.member.reason is not None or bool(self.lost) or self.error is not None

    def reads(self, purpose: str) -> bool:
        """Whether bytes of a connection may arrive: data waits for the workers to be there."""
        return purpose != "data" or bool(self.workers)

    def begin(self) -> None:
        first = self.id * self.settings.workers
        self.member.assembled(list_partitions(self._plan, first, self.id), self._clock.seconds)

    def step(self, worker: Worker) -> bool:
        if self.over:
            return False
        try:
            worked = worker.step()
        except DataflowRuntimeError as error:
            self.error = error
            return True
        while self._reports:
            self.member.report(self._reports.popleft(), self._clock.seconds)
            worked = True
        return worked

    def tick(self) -> bool:
        due = self.member.due
        if self.over or due is None or due > self._clock.seconds:
            return False
        self.member.tick(self._clock.seconds)
        return True

    def take(self, peer: int, event: object) -> None:
        match event:
            case Encoded(channel) | Barrier(channel) | EndOfInput(channel):
                self._worker(channel.receiver).deliver(event)
            case Credit(channel):
                self._worker(channel.sender).deliver(event)
            case ControlMessage(message):
                assert self.member.receive(peer, message, self._clock.seconds)
            case Closed() | ProtocolError():
                self.lost.add(peer)

    def _worker(self, index: int) -> Worker:
        return self.workers[index - self.id * self.settings.workers]

    # The host of the member.

    def tell(self, process: int, message: dict[str, object]) -> None:
        self.control[process].send_control(message)

    def start_workers(self, epoch: int, parts: Assignment) -> None:
        first = self.id * self.settings.workers
        for index in range(first, first + self.settings.workers):
            worker = Worker(
                self._plan,
                index,
                self.settings.worker_count,
                process=self.id,
                parts=parts,
                outlet=self,
                report=self._reports.append,
                epoch=epoch,
                one_poll=self.settings.epoch_interval == 0,
                now=self._clock.now,
            )
            self.workers.append(worker)
            worker.build()

    def request_barrier(self, epoch: int, *, last: bool) -> None:
        for worker in self.workers:
            worker.request_barrier(epoch, last=last)

    # The outlet of the workers.

    def is_remote(self, worker: int) -> bool:
        return worker // self.settings.workers != self.id

    def send(self, worker: int, message: Message) -> None:
        if not self.is_remote(worker):
            self._worker(worker).deliver(message)
            return
        assert not isinstance(message, Items)
        self.data[worker // self.settings.workers].send(message)


class Simulation:
    """A cluster that runs one dataflow.

    Args:
        flow: The dataflow; its sinks may share lists, since all runs in one thread.
        seed: Decides everything that is left to chance.
        processes: Number of processes.
        workers: Workers in each.
        epoch_interval: Simulated seconds from one epoch to the next.
    """

    def __init__(
        self,
        flow: Dataflow,
        seed: int,
        *,
        processes: int = 2,
        workers: int = 1,
        epoch_interval: float = 0.01,
    ) -> None:
        self.random = Random(seed)
        self.clock = Clock()
        self.pipes: list[Pipe] = []
        addresses = tuple(Address("127.0.0.1", 9000 + index) for index in range(processes))
        plan = compile_plan(flow)
        self.processes = [
            SimulatedProcess(
                plan,
                ClusterSettings(
                    addresses=addresses,
                    process_id=index,
                    workers=workers,
                    epoch_interval=epoch_interval,
                ),
                self.clock,
            )
            for index in range(processes)
        ]
        for low in self.processes:
            for high in self.processes[low.id + 1 :]:
                self._connect(low, high)

    def _connect(self, low: SimulatedProcess, high: SimulatedProcess) -> None:
        purposes: tuple[Purpose, ...] = ("control", "data")
        for purpose in purposes:
            ends = [self._connection(high, low, purpose), self._connection(low, None, purpose)]
            pair = [
                Pipe(ends[0], ends[1], low, high.id, "handshake"),
                Pipe(ends[1], ends[0], high, low.id, "handshake"),
            ]
            while pair[0].arrive(self.random, 0.0) or pair[1].arrive(self.random, 0.0):
                pass
            assert all(end.established for end in ends)
            getattr(high, purpose)[low.id], getattr(low, purpose)[high.id] = ends
            for pipe in pair:
                pipe.purpose = purpose
            self.pipes += pair

    def _connection(
        self, mine: SimulatedProcess, to: SimulatedProcess | None, purpose: Purpose
    ) -> Connection:
        hello = Hello.of(mine.settings, engine="0", fingerprint=Fingerprint("f"))
        hello = replace(hello, purpose=purpose, to=None if to is None else to.id)
        return Connection(hello, dialer=to is not None, secret=b"secret", now=0.0)

    def cut(self, one: int, other: int) -> None:
        """Cut all connections between two processes; bytes under way are lost."""
        for pipe in self.pipes:
            if {pipe.receiver.id, pipe.peer} == {one, other}:
                pipe.cut = True
                pipe.flying.clear()
                for event in pipe.target.closed():
                    pipe.receiver.take(pipe.peer, event)

    def run(
        self, *, slow: float = 0.0, at_turn: dict[int, Callable[[], None]] | None = None
    ) -> int:
        """Run to the end; each worker is up to `slow` (of 1) less likely to have its turn.

        Args:
            slow: How much slower workers and connections may be than others.
            at_turn: What is to happen in which turn.

        Returns:
            The number of turns.

        Raises:
            DeadlockError: If nothing can happen any more.
        """
        for process in self.processes:
            process.begin()
        patience = {id(each): 1 - slow * self.random.random() for each in self._actors()}
        for turn in range(MOST_TURNS):
            if at_turn and turn in at_turn:
                at_turn[turn]()
            if all(process.over for process in self.processes):
                return turn
            actors = self._actors()
            actor = self.random.choice(actors)
            if self.random.random() < patience.get(id(actor), 1.0):
                self.act(actor)
            if turn % 64 == 63 and sum(self.act(each) for each in actors) == 0:
                self._pass_time()
        raise DeadlockError(self.describe())

    def _actors(self) -> list[object]:
        workers = [worker for process in self.processes for worker in process.workers]
        return [*workers, *self.pipes, *self.processes]

    def act(self, actor: object) -> bool:
        match actor:
            case Worker():
                return self._home(actor).step(actor)
            case Pipe():
                return actor.arrive(self.random, self.clock.seconds)
            case SimulatedProcess():
                return actor.tick()
        raise AssertionError(actor)

    def _home(self, worker: Worker) -> SimulatedProcess:
        return next(process for process in self.processes if worker in process.workers)

    def _pass_time(self) -> None:
        """Nothing can happen now: go to the time when something can."""
        waits = [
            process.member.due - self.clock.seconds
            for process in self.processes
            if process.member.due is not None and not process.over
        ]
        waits += [
            worker.idle_seconds()
            for process in self.processes
            if not process.over
            for worker in process.workers
            if worker.next_due() is not None
        ]
        if not waits:
            if all(process.over for process in self.processes):
                return
            raise DeadlockError(self.describe())
        self.clock.seconds += max(1e-6, min(waits))

    def describe(self) -> str:
        """What a failed run leaves behind."""
        states = [
            f"process {process.id}: reason {process.member.reason}, epoch {process.member.epoch}, "
            f"lost {process.lost}"
            for process in self.processes
        ]
        return "; ".join(states)
