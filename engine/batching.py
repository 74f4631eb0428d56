"""Cut what a source reads from into batches; part of the public names of `engine.inputs`."""

import queue
from collections.abc import AsyncIterable, Callable, Iterable, Iterator
from datetime import timedelta
from itertools import islice
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    import asyncio

X = TypeVar("X")


def batch(ib: Iterable[X], batch_size: int) -> Iterator[list[X]]:
    """Cut an iterable into lists.

    Args:
        ib: Items.
        batch_size: Items in each list; the last one may hold fewer.

    >>> list(batch("abcde", 2))
    [['a', 'b'], ['c', 'd'], ['e']]
    """
    items = iter(ib)
    while taken := list(islice(items, batch_size)):
        yield taken


def batch_getter(
    getter: Callable[[], X], batch_size: int, yield_on: X | None = None
) -> Iterator[list[X]]:
    """Collect what a function returns, for one that tells by a value that nothing is there yet.

    Args:
        getter: Returns the next item; raises `StopIteration` at the end.
        batch_size: Items in a list at most.
        yield_on: Value that means that there is no item yet: the list is yielded as it is.

    >>> results = iter([1, 2, None, None, 3])
    >>> list(batch_getter(lambda: next(results), 10))
    [[1, 2], [], [3]]
    """
    ended = False
    while not ended:
        taken: list[X] = []
        while len(taken) < batch_size:
            try:
                item = getter()
            except StopIteration:
                ended = True
                break
            if item is yield_on or item == yield_on:
                break
            taken.append(item)
        yield taken


def batch_getter_ex(
    getter: Callable[[], X], batch_size: int, yield_ex: type[Exception] = queue.Empty
) -> Iterator[list[X]]:
    """Collect what a function returns, for one that raises while nothing is there yet.

    Args:
        getter: Returns the next item; raises `StopIteration` at the end.
        batch_size: Items in a list at most.
        yield_ex: Exception that means that there is no item yet: the list is yielded as it is.

    >>> import queue
    >>> waiting = queue.SimpleQueue()
    >>> batches = batch_getter_ex(waiting.get_nowait, 10)
    >>> waiting.put("a")
    >>> next(batches), next(batches)
    (['a'], [])
    """
    ended = False
    while not ended:
        taken: list[X] = []
        while len(taken) < batch_size:
            try:
                taken.append(getter())
            except yield_ex:
                break
            except StopIteration:
                ended = True
                break
        yield taken


def batch_async(
    aib: AsyncIterable[X],
    timeout: timedelta,
    batch_size: int,
    loop: "asyncio.AbstractEventLoop | None" = None,
) -> Iterator[list[X]]:
    """Collect from an async iterable without waiting for longer than a limit.

    An item that is not there in time is not lost: the next list begins with it. The same holds
    for an exception, which is raised once the items before it were yielded.

    Args:
        aib: Items.
        timeout: Time that one list may take at most.
        batch_size: Items in a list at most.
        loop: Event loop to run in; by default an own one, which is closed at the end.

    >>> from datetime import timedelta
    >>> async def numbers():
    ...     for number in range(3):
    ...         yield number
    >>> list(batch_async(numbers(), timedelta(seconds=10), 2))
    [[0, 1], [2]]
    """
    import asyncio  # takes 30 ms that a flow without async input does not spend

    run_in = asyncio.new_event_loop() if loop is None else loop
    items = aib.__aiter__()
    waiting: asyncio.Task[X] | None = None

    async def next_item() -> X:
        return await items.__anext__()

    async def collect() -> list[X]:
        nonlocal waiting
        taken: list[X] = []
        deadline = run_in.time() + timeout.total_seconds()
        while len(taken) < batch_size:
            if waiting is None:
                waiting = run_in.create_task(next_item())
            await asyncio.wait((waiting,), timeout=max(0.0, deadline - run_in.time()))
            if not waiting.done() or (taken and waiting.exception() is not None):
                break
            done, waiting = waiting, None
            taken.append(done.result())
        return taken

    try:
        while True:
            try:
                taken = run_in.run_until_complete(collect())
            except StopAsyncIteration:
                return
            yield taken
    finally:
        if waiting is not None and not run_in.is_closed():
            waiting.cancel()
            run_in.run_until_complete(asyncio.wait((waiting,)))
        if loop is None:
            run_in.run_until_complete(run_in.shutdown_asyncgens())
            run_in.close()
