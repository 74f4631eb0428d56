"""Run one stage of the plan on one worker.

Batches are pushed through the fused nodes. Where a node makes more than one list out of a
batch, its iterator is put on a stack and pulled while there is credit; the stack is what a
parked stage keeps. A barrier, or the end of input, is handled when the stack is empty.
"""

from collections.abc import Callable, Iterator
from datetime import datetime
from time import perf_counter
from typing import Any

from engine.context import WorkerContext
from engine.exchange import Inbound, Outbound
from engine.keyed import KeyedOperator
from engine.messages import Batch
from engine.nodes import Branched, RunningNode, cut
from engine.sizes import approximate_size

LARGEST_BATCH = 8192
"""Items that a node is given at once; longer lists are cut."""


Todo = tuple[RunningNode, list[Any]]
Parked = tuple[RunningNode, Iterator[list[Any]]]


class Stage:
    """The steps of one stage on one worker.

    Args:
        nodes: The nodes, the one that input enters first.
        inbounds: Receiving ends of the channels that feed it.
        outbounds: Sending ends of the exchanges that it feeds.
        context: The worker's.
    """

    _quota = 8

    def __init__(
        self,
        nodes: list[RunningNode],
        inbounds: list[Inbound],
        outbounds: list[Outbound],
        context: WorkerContext,
    ) -> None:
        self.inbounds = inbounds
        self.outbounds = outbounds
        self.epoch_done = context.epoch - 1
        self.ended = False
        self._nodes = nodes
        self._entry = nodes[0]
        self._context = context
        self._requested = self.epoch_done
        self._last = False
        self._stack: list[Parked] = []
        self._sequence: Iterator[bool] | None = None
        self._consuming: tuple[Inbound, int] | None = None
        self._turn = 0
        self._notified = False
        self._largest = 0

    # What differs for a stage that starts at a source.

    def _take(self, _now: datetime) -> bool:
        """Take the next input, and tell whether there was any."""
        count = len(self.inbounds)
        for offset in range(count):
            inbound = self.inbounds[(self._turn + offset) % count]
            batch = inbound.take()
            if batch is not None:
                self._turn += offset + 1
                self._consuming = (inbound, batch.cost)
                todo = self._enter(batch)
                # What is worked off is to be freed, while the caches still have it.
                del batch
                self._push(todo)
                return True
        return False

    def _input_ended(self) -> bool:
        return all(inbound.ended for inbound in self.inbounds)

    def _aligned(self) -> bool:
        """Whether all input before the requested barrier has been taken."""
        return all(inbound.ended or inbound.held for inbound in self.inbounds)

    def _stopped(self) -> bool:
        """Whether the last epoch is closed here, so that nothing more may be done."""
        return self._last and self.epoch_done == self._requested

    def _waits_for_credit(self) -> bool:
        return any(outbound.blocked for outbound in self.outbounds)

    # What a worker calls.

    def request_barrier(self, epoch: int, *, last: bool) -> None:
        """Close an epoch here as soon as all its input has been worked off."""
        self._requested = epoch
        self._last = last

    def run(self) -> bool:
        """Work off a few batches of input; tell whether anything was done."""
        worked = False
        quota = self._quota
        self._notified = False
        now = self._context.now()
        self._context.epoch = self.epoch_done + 1
        while self._drain():
            self._grant()
            sequence = self._sequence = self._sequence or self._next_sequence(now)
            if sequence is not None:
                done = next(sequence, None)
                if done is None:
                    self._sequence = None
                elif not done:
                    break
            elif quota > 0 and not self._stopped() and self._take(now):
                quota -= 1
            else:
                break
            worked = True
        for outbound in self.outbounds:
            if outbound.waiting:
                self._flush(outbound)
        return worked

    def _grant(self) -> None:
        """Grant credit for the batch that has been worked off."""
        if self._consuming is not None:
            inbound, cost = self._consuming
            self._consuming = None
            inbound.consumed(cost)

    def next_due(self) -> datetime | None:
        """When it has something to do, if nothing arrives before."""
        if self.ended or self._stopped() or self._waits_for_credit():
            return None
        operator = self._entry.operator
        return operator.next_notify() if operator else None

    def closers(self) -> Iterator[tuple[RunningNode, Callable[[], None]]]:
        """What closes the partitions of each node; no harm if called again."""
        for node in self._nodes:
            yield node, node.close

    # Barriers, notifications and the end of input, as sequences of steps that each leave
    # something on the stack. They give False where they have to wait for credit.

    def _next_sequence(self, now: datetime) -> Iterator[bool] | None:
        if self._requested > self.epoch_done and (self.ended or self._aligned()):
            return self._close_epoch()
        if self.ended or self._stopped():
            return None
        if self._input_ended():
            return self._end()
        operator = self._entry.operator
        if operator is not None and not self._notified:
            due = operator.next_notify()
            if due is not None and due <= now:
                # Once a run: a time that stays in the past must not keep all else waiting.
                self._notified = True
                return self._notify(operator, now)
        return None

    def _notify(self, operator: KeyedOperator, now: datetime) -> Iterator[bool]:
        self._park(self._entry, operator.on_notify, now)
        yield True

    def _close_epoch(self) -> Iterator[bool]:
        if not self.ended:
            yield from self._flush_aggregates()
            for outbound in self.outbounds:
                while not self._flush(outbound):
                    yield False
                outbound.barrier(self._requested)
        if self._last:
            for node, close in self.closers():
                self._guard(node, close)
        for inbound in self.inbounds:
            inbound.held = 0
        self.epoch_done = self._requested
        self._context.epoch = self.epoch_done + 1

    def _end(self) -> Iterator[bool]:
        operator = self._entry.operator
        if operator is not None:
            self._park(self._entry, operator.on_eof)
            yield True
        yield from self._flush_aggregates()
        for outbound in self.outbounds:
            while not self._flush(outbound):
                yield False
            outbound.end()
        self.ended = True

    def _flush_aggregates(self) -> Iterator[bool]:
        for node in self._nodes:
            if node.aggregate is not None:
                self._park(node, node.aggregate.flush)
                yield True

    # Pushing batches through the nodes.

    def _enter(self, batch: Batch) -> list[Todo]:
        """Take a batch from another worker; give what there is to push."""
        node = self._entry
        items = self._guard(node, batch.load)
        if batch.grouped:
            assert node.operator is not None
            node.stats.items_in += sum(len(values) for _, values in items)
            self._park(node, node.operator.on_groups, items)
            return []
        return [(node, items)]

    def _push(self, todo: list[Todo]) -> None:
        """Push batches through their nodes and all that follow, up to where output is parked."""
        while todo:
            node, batch = todo.pop()
            stats = node.stats
            stats.items_in += len(batch)
            self._context.log.step = node.step_id
            started = perf_counter()
            try:
                out = node.run(batch)
            except BaseException as error:
                self._context.fail(node.step_id, error)
            stats.observe(perf_counter() - started)
            del batch
            if isinstance(out, list):
                if out:
                    self._largest = max(self._largest, len(out) * approximate_size(out[-1]))
                if len(out) > LARGEST_BATCH:
                    self._stack.append((node, cut(out, LARGEST_BATCH)))
                else:
                    self._emit(node, 0, out, todo)
            elif isinstance(out, Branched):
                self._emit(node, 0, out.trues, todo)
                self._emit(node, 1, out.falses, todo)
            else:
                self._stack.append((node, out))

    def _emit(
        self,
        node: RunningNode,
        port: int,
        batch: list[Any],
        todo: list[Todo],
    ) -> None:
        if not batch:
            return
        node.stats.items_out += len(batch)
        # User code may change the list, so that every node but one is given a copy.
        original = True
        # What another step has made, user code may keep and change while it waits.
        ours = node is self._entry and len(node.targets[port]) == 1
        for target in reversed(node.targets[port]):
            if isinstance(target, Outbound):
                try:
                    target.put(batch, keep=ours)
                except BaseException as error:
                    self._context.fail(target.exchange.step_id, error)
            else:
                todo.append((target, batch if original else batch.copy()))
                original = False

    def _drain(self) -> bool:
        """Pull parked output to its end; tell whether there was credit to do so."""
        stack = self._stack
        while stack:
            if not self._has_room():
                return False
            node, chunks = stack[-1]
            self._context.log.step = node.step_id
            started = perf_counter()
            try:
                chunk = next(chunks, None)
            except BaseException as error:
                self._context.fail(node.step_id, error)
            node.stats.observe(perf_counter() - started)
            if chunk is None:
                stack.pop()
                continue
            todo: list[Todo] = []
            self._emit(node, 0, chunk, todo)
            del chunk
            self._push(todo)
        return self._has_room()

    def _has_room(self) -> bool:
        """Whether more may be made: what was made before goes first, or it would pile up."""
        for outbound in self.outbounds:
            try:
                outbound.send_full()
            except BaseException as error:
                self._context.fail(outbound.exchange.step_id, error)
        return not self._waits_for_credit()

    def _flush(self, outbound: Outbound) -> bool:
        """Send what waits for an exchange; tell whether there was credit for all of it."""
        try:
            return outbound.flush()
        except BaseException as error:
            self._context.fail(outbound.exchange.step_id, error)

    def _park(
        self, node: RunningNode, call: Callable[..., Iterator[list[Any]]], *args: Any
    ) -> None:
        self._stack.append((node, self._guard(node, call, *args)))

    def _guard(self, node: RunningNode, call: Callable[..., Any], *args: Any) -> Any:
        self._context.log.step = node.step_id
        try:
            return call(*args)
        except BaseException as error:
            self._context.fail(node.step_id, error)
