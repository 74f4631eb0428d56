"""Where a mesh that is relayed meets its processes: on loopback, alike on all hosts."""

import zlib
from typing import Any

from ctl.inventory import Inventory, ProcessPlace
from engine.settings import Address

_FIRST_PORTS = range(10_000, 32_000, 1_000)
"""Below what systems give to those who connect."""


def is_relayed(inventory: Inventory, mesh: str) -> bool:
    """Whether relays carry the connections of a mesh, which one machine does without.

    Args:
        inventory: All hosts.
        mesh: Who protects it, as `ctl.runtimes.base.Mesh` has it.
    """
    places = inventory.processes
    is_apart = len({each.host.name for each in places}) > 1
    return mesh == "relay" and is_apart and not all(each.address.is_loopback for each in places)


def loopback_addresses(inventory: Inventory) -> tuple[Address, ...]:
    """What processes dial instead of each other, in the order of their IDs.

    Each deployment has addresses of its own among the many that loopback has, so that two of them
    on a host do not meet, and each process has one, so that it is known when it dials.
    """
    number = zlib.crc32(inventory.deployment.name.encode())
    net = f"127.{number % 254 + 1}.{number // 254 % 254 + 1}"
    places = inventory.processes
    taken = {each.address.port for each in places}
    first = next(
        (port for port in _FIRST_PORTS if taken.isdisjoint(range(port, port + len(places)))),
        _FIRST_PORTS[0],
    )
    return tuple(Address(f"{net}.{each.id % 254 + 1}", first + each.id) for each in places)


def relay_of(
    process: ProcessPlace, inventory: Inventory, addresses: tuple[Address, ...]
) -> dict[str, Any]:
    """What the relay of a process is told, as `ctl.remote.relay` takes it."""
    host = process.host
    return {
        "engine": list(addresses[process.id]),
        "mesh": [host.bind or process.address.host, process.address.port],
        "peers": [
            {"id": each.id, "local": list(addresses[each.id]), "address": list(each.address)}
            for each in inventory.processes
            if each.host != host
        ],
    }
