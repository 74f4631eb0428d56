"""Start hosts side by side and wait for them."""

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from tests.engine.running import eventually
from tests.fleet.hosts import FleetHost
from tests.fleet.sshd import greets

T = TypeVar("T")
R = TypeVar("R")


def in_parallel(work: Callable[[T], R], items: Iterable[T]) -> list[R]:
    """Do the work for all items; if it fails for one, raise after all have been tried."""
    with ThreadPoolExecutor(8) as pool:
        return list(pool.map(work, items))


def wait_for_sshd(host: FleetHost) -> None:
    """Wait until its sshd greets."""
    try:
        eventually(lambda: greets(host.address, host.port), f"the greeting of sshd on {host.name}")
    except AssertionError as error:
        error.add_note(host.logs())
        raise
