"""Run the stage of the plan that starts at a source, on one worker."""

from collections import deque
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from itertools import chain
from time import perf_counter
from typing import Any

from engine.context import WorkerContext
from engine.errors import DataflowRuntimeError
from engine.exchange import BATCH_BYTES, BATCH_ITEMS, Outbound
from engine.inputs import AbortExecution
from engine.nodes import RunningNode
from engine.polling import Polled
from engine.stage import Stage

_GATHER_SECONDS = 0.001
_LONG_AGO = datetime.min.replace(tzinfo=UTC)


class SourceStage(Stage):
    """A stage that starts at a source.

    Args:
        partitions: What this worker reads of the source.
        one_poll: Whether each due partition is polled once in an epoch, and no more.
    """

    # What was read is worked off, and its memory used again, while the caches have it.
    _quota = 1

    def __init__(
        self,
        nodes: list[RunningNode],
        outbounds: list[Outbound],
        context: WorkerContext,
        partitions: list[Polled],
        *,
        one_poll: bool,
    ) -> None:
        super().__init__(nodes, [], outbounds, context)
        self._partitions = partitions
        self._one_poll = one_poll
        self._to_poll: deque[Polled] = deque()
        self._error: BaseException | None = None
        self._gather = 1
        self.polled = False

    def request_barrier(self, epoch: int, *, last: bool) -> None:
        """Close an epoch here; with one poll an epoch, after that poll."""
        super().request_barrier(epoch, last=last)
        self.polled = False
        if self._one_poll and not last:
            now = self._context.now()
            self._to_poll.extend(each for each in self._partitions if each.is_due(now))

    def closers(self) -> Iterator[tuple[RunningNode, Callable[[], None]]]:
        """What closes the partitions of the source and of each node."""
        for partition in self._partitions:
            yield self._entry, partition.close
        yield from super().closers()

    def _aligned(self) -> bool:
        return not self._to_poll

    def _input_ended(self) -> bool:
        return all(partition.ended for partition in self._partitions)

    def next_due(self) -> datetime | None:
        """When a partition wants to be polled."""
        if self.ended or self._stopped() or self._one_poll or self._waits_for_credit():
            return None
        dues = [each.due for each in self._partitions if not each.ended]
        return None if not dues else min(due or _LONG_AGO for due in dues)

    def _take(self, now: datetime) -> bool:
        if self._error is not None:
            raise self._error
        if self._one_poll:
            return bool(self._to_poll) and self._poll(self._to_poll.popleft(), now)
        count = len(self._partitions)
        for offset in range(count):
            partition = self._partitions[(self._turn + offset) % count]
            if partition.is_due(now):
                self._turn += offset + 1
                return self._poll(partition, now)
        return False

    def _poll(self, partition: Polled, now: datetime) -> bool:
        """Poll a partition, again and again while it gives little at a time.

        How much is gathered grows as long as no step makes much data of it.
        """
        gathered: list[Any] = []
        self._adapt_gather()
        until = perf_counter() + _GATHER_SECONDS
        while len(gathered) < self._gather:
            try:
                batch, rest = self._polled(partition, now)
            except (AbortExecution, DataflowRuntimeError) as error:
                # What was read before it failed flows first.
                if not gathered:
                    raise
                self._error = error
                break
            gathered += batch
            if rest is not None:
                self._stack.append((self._entry, chain([gathered], rest)))
                break
            if not batch or self._one_poll or not partition.is_due(now) or perf_counter() > until:
                break
        self.polled = self.polled or bool(gathered)
        if gathered and not self._stack:
            self._push([(self._entry, gathered)])
        return bool(gathered) or partition.ended

    def _adapt_gather(self) -> None:
        much = self._largest > BATCH_BYTES
        self._gather = max(1, self._gather // 2) if much else min(BATCH_ITEMS, self._gather * 2)
        self._largest = 0

    def _polled(
        self, partition: Polled, now: datetime
    ) -> tuple[list[Any], Iterator[list[Any]] | None]:
        self._context.log.step = self._entry.step_id
        try:
            return partition.poll(now)
        except AbortExecution:
            raise
        except BaseException as error:
            self._context.fail(self._entry.step_id, error)
