"""Start hosts side by side and wait for them."""

import socket
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import TypeVar

from tests.engine.running import eventually
from tests.fleet.hosts import Host

T = TypeVar("T")
R = TypeVar("R")


def in_parallel(work: Callable[[T], R], items: Iterable[T]) -> list[R]:
    """Do the work for all items; if it fails for one, raise after all have been tried."""
    with ThreadPoolExecutor(8) as pool:
        return list(pool.map(work, items))


def wait_for_sshd(host: Host) -> None:
    """Wait until its sshd greets."""
    try:
        eventually(lambda: _greets(host), f"the greeting of sshd on {host.name}")
    except AssertionError as error:
        error.add_note(host.logs())
        raise


def _greets(host: Host) -> bool:
    with suppress(OSError), socket.create_connection((host.address, host.port), 5) as connection:
        return connection.recv(4) == b"SSH-"
    return False
