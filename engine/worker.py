"""A worker: runs the whole plan on its shard of the keys, in one thread."""

from collections import deque
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import datetime
from time import perf_counter
from typing import NamedTuple

from engine.context import WorkerContext, utc_now
from engine.exchange import Inbound, Outbound, Outlet, window
from engine.inputs import DynamicSource, FixedPartitionedSource
from engine.messages import Channel, Credit, Message
from engine.metrics import ExchangeStats, WorkerStats
from engine.nodes import RunningNode, SinkParts, build_node, part_index
from engine.outputs import FixedPartitionedSink
from engine.plan import Exchange, Plan, Route, StagePlan, ToNode
from engine.polling import Polled, SourcePartition
from engine.source_stage import SourceStage
from engine.stage import Stage
from engine.steps import Input, Output, Step

IDLE_SECONDS = 0.05
"""Longest time that a worker waits before it looks again."""

_COUNT_SECONDS = 0.1


class EpochDone(NamedTuple):
    """A worker has closed an epoch; `idle` if its sources gave nothing in it."""

    worker: int
    epoch: int
    idle: bool


class InputEnded(NamedTuple):
    """A worker has worked off all input of the dataflow."""

    worker: int


Report = EpochDone | InputEnded


class Worker:
    """Runs a plan on one worker; `step` never blocks but for user code.

    Args:
        plan: The plan.
        index: Index of the worker in the cluster.
        count: Workers in the cluster.
        process: ID of its process.
        parts: For each source or sink with fixed partitions, the worker of each partition.
        outlet: Takes messages to any worker, this one included.
        report: Takes what the coordinator has to know.
        epoch: First epoch.
        one_poll: Whether each epoch is one poll of the due partitions.
        now: Clock, with time zone.
    """

    def __init__(
        self,
        plan: Plan,
        index: int,
        count: int,
        *,
        process: int,
        parts: Mapping[str, Mapping[str, int]],
        outlet: Outlet,
        report: Callable[[Report], None],
        epoch: int = 1,
        one_poll: bool = False,
        now: Callable[[], datetime] = utc_now,
    ) -> None:
        self.index = index
        self.stats = WorkerStats(index)
        self._context = WorkerContext(index, count, process, epoch, now)
        self._plan = plan
        self._outlet = outlet
        self._report = report
        self._one_poll = one_poll
        self._epoch_reported = epoch - 1
        self._end_reported = False
        self._inbox: deque[Message] = deque()
        self._barriers: deque[tuple[int, bool]] = deque()
        self._parts = parts
        self._sinks = {
            step_id: SinkParts(tuple(sorted(owners)), tuple(owners[key] for key in sorted(owners)))
            for step_id, owners in parts.items()
        }
        self._inbounds: dict[Channel, Inbound] = {}
        self._outbounds: dict[int, Outbound] = {}
        self._stages: list[Stage] = []
        self._count_due = 0.0
        for exchange in plan.exchanges:
            self.stats.exchanges[exchange.number] = ExchangeStats(exchange.step_id)

    # Called by any thread.

    def deliver(self, message: Message) -> None:
        """Take a message from another worker, or from itself."""
        self._inbox.append(message)

    def request_barrier(self, epoch: int, *, last: bool) -> None:
        """Close an epoch; after the last one nothing more is done."""
        self._barriers.append((epoch, last))

    @property
    def step_id(self) -> str | None:
        """The step that is running, or was last."""
        return self._context.step

    # Called by the thread of the worker.

    def build(self) -> None:
        """Build all steps and partitions; before the first `step`, in the same thread.

        Raises:
            DataflowRuntimeError: If user code fails.
        """
        self._context.enter()
        self._stages = [self._build_stage(stage) for stage in self._plan.stages]

    def step(self) -> bool:
        """Do a little of what there is to do; tell whether there was anything."""
        worked = self._receive()
        for stage in reversed(self._stages):
            if stage.run():
                worked = True
        if worked:
            self._tell()
            self._count_queues()
        return worked

    def abandon(self) -> None:
        """Close all partitions after a failure, whatever they say to that."""
        for stage in self._stages:
            for _, close in stage.closers():
                with suppress(BaseException):
                    close()

    def idle_seconds(self) -> float:
        """How long to wait, at most, for a message before the next step."""
        due = self.next_due()
        if due is None:
            return IDLE_SECONDS
        wait = (due - self._context.now()).total_seconds()
        return min(IDLE_SECONDS, max(0.0, wait))

    def next_due(self) -> datetime | None:
        """When there is something to do, if no message comes before."""
        dues = (stage.next_due() for stage in self._stages)
        return min((due for due in dues if due is not None), default=None)

    def _receive(self) -> bool:
        worked = False
        while self._barriers:
            epoch, last = self._barriers.popleft()
            for stage in self._stages:
                stage.request_barrier(epoch, last=last)
            worked = True
        inbox = self._inbox
        while inbox:
            message = inbox.popleft()
            if isinstance(message, Credit):
                outbound = self._outbounds[message.channel.exchange]
                outbound.grant(message.channel.receiver, message.amount)
            else:
                self._inbounds[message.channel].push(message)
            worked = True
        return worked

    def _tell(self) -> None:
        """Report what has been reached."""
        epoch = min(stage.epoch_done for stage in self._stages)
        if epoch > self._epoch_reported:
            self._epoch_reported = epoch
            self.stats.epoch = epoch
            sources = [stage for stage in self._stages if isinstance(stage, SourceStage)]
            idle = not any(stage.polled for stage in sources)
            self._report(EpochDone(self.index, epoch, idle))
        if not self._end_reported and all(stage.ended for stage in self._stages):
            self._end_reported = True
            self._report(InputEnded(self.index))

    def _count_queues(self) -> None:
        """Bring the figures of the exchanges up to date, now and then."""
        now = perf_counter()
        if now < self._count_due:
            return
        self._count_due = now + _COUNT_SECONDS
        exchanges = self.stats.exchanges
        for exchange in exchanges.values():
            exchange.queued_bytes = 0
        for channel, inbound in self._inbounds.items():
            exchanges[channel.exchange].queued_bytes += inbound.queued
        for index, outbound in self._outbounds.items():
            exchanges[index].credit_bytes = sum(outbound.credit)
            exchanges[index].parked = outbound.blocked

    # Building.

    def _build_stage(self, stage: StagePlan) -> Stage:
        inbounds = [
            inbound
            for index in stage.inputs
            for inbound in self._build_inbounds(self._plan.exchanges[index])
        ]
        nodes = [self._build_node(node.step) for node in stage.nodes]
        for running, node in zip(nodes, stage.nodes, strict=True):
            for port in node.targets:
                running.targets.append(
                    [
                        nodes[target.node]
                        if isinstance(target, ToNode)
                        else self._build_outbound(target.exchange)
                        for target in port
                    ]
                )
        outbounds = [self._outbounds[index] for index in stage.outputs]
        first = stage.nodes[0].step
        if isinstance(first.kind, Input):
            partitions = self._build_partitions(first)
            return SourceStage(nodes, outbounds, self._context, partitions, one_poll=self._one_poll)
        return Stage(nodes, inbounds, outbounds, self._context)

    def _build_inbounds(self, exchange: Exchange) -> list[Inbound]:
        senders = [self.index] if exchange.route is Route.LOCAL else range(self._context.count)
        room = window(exchange.route, self._context.count)
        inbounds = []
        for sender in senders:
            channel = Channel(exchange.number, sender, self.index)
            self._inbounds[channel] = Inbound(channel, self._outlet, room)
            inbounds.append(self._inbounds[channel])
        return inbounds

    def _build_outbound(self, index: int) -> Outbound:
        exchange = self._plan.exchanges[index]
        owner = None
        if exchange.route is Route.PARTITIONED:
            step = self._plan.stages[exchange.stage].nodes[0].step
            owner = self._part_owner(step)
        outbound = Outbound(exchange, self.index, self._context.count, self._outlet, owner)
        self._outbounds[index] = outbound
        return outbound

    def _part_owner(self, step: Step) -> Callable[[str], int]:
        assert isinstance(step.kind, Output)
        assert isinstance(step.kind.sink, FixedPartitionedSink)
        parts = self._sinks[step.step_id]
        index_of = part_index(step.kind.sink, parts)
        return lambda key: parts.owners[index_of(key)]

    def _build_node(self, step: Step) -> RunningNode:
        self._context.log.step = step.step_id
        try:
            node = build_node(step, self._context, self._sinks)
        except BaseException as error:
            self._context.fail(step.step_id, error)
        self.stats.steps[step.step_id] = node.stats
        return node

    def _build_partitions(self, step: Step) -> list[Polled]:
        assert isinstance(step.kind, Input)
        self._context.log.step = step.step_id
        source = step.kind.source
        parts: list[SourcePartition] = []
        try:
            if isinstance(source, DynamicSource):
                parts.append(source.build(step.step_id, self.index, self._context.count))
            elif isinstance(source, FixedPartitionedSource):
                owners = self._parts[step.step_id]
                mine = sorted(key for key, owner in owners.items() if owner == self.index)
                parts += [source.build_part(step.step_id, key, None) for key in mine]
            return [Polled(part) for part in parts]
        except BaseException as error:
            self._context.fail(step.step_id, error)
