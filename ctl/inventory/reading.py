"""From a file to a validated inventory."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

from ctl.errors import InventoryError, NotFoundError
from ctl.inventory import values
from ctl.inventory.deployment import read_deployment
from ctl.inventory.hosts import check_addresses, read_hosts
from ctl.inventory.keys import RUNTIMES
from ctl.inventory.lines import find_lines
from ctl.inventory.model import Host, Inventory
from ctl.inventory.problems import Problems
from ctl.inventory.syntax import decode, parse
from ctl.inventory.tables import refuse_key
from ctl.inventory.values import Check

_TABLES = ("deployment", "defaults", "hosts")


def load(path: Path, runtimes: Mapping[str, Mapping[str, Check]] = RUNTIMES) -> Inventory:
    """Read an inventory.

    Args:
        path: The file.
        runtimes: By the name of each runtime that there is, the further keys that it allows in
            `[deployment]`.

    Raises:
        NotFoundError: If there is no such file.
        InventoryError: If anything in it is wrong; all of it is listed, a line each.
    """
    try:
        data = path.read_bytes()
    except (FileNotFoundError, NotADirectoryError, ValueError):
        msg = f"there is no inventory {str(path)!r}"
        raise NotFoundError(msg, "name another file, or write one with `ctl init`") from None
    except IsADirectoryError:
        msg = f"{str(path)!r} is a folder"
        raise NotFoundError(msg, "name the inventory in it") from None
    except OSError as error:
        msg = f"{path} cannot be read: {error.strerror}"
        raise InventoryError(msg, "make it readable, or name another file") from None
    return read(data, path, runtimes)


def read(
    data: bytes, path: Path, runtimes: Mapping[str, Mapping[str, Check]] = RUNTIMES
) -> Inventory:
    """Read the content of an inventory.

    Args:
        data: What the file has.
        path: What errors call it; paths in it are relative to its folder.
        runtimes: As in `load`.

    Raises:
        InventoryError: If anything in it is wrong; all of it is listed, a line each.
    """
    text = decode(data, path)
    document = parse(text, path)
    lines = find_lines(text)
    raw_hosts = document.get("hosts", [])
    names = [each.get("name") if isinstance(each, dict) else None for each in _list(raw_hosts)]
    problems = Problems(path, lines, names)
    for key in document.keys() - set(_TABLES):
        refuse_key((key,), _TABLES, problems)
    if "deployment" not in document:
        problems.add((), "there is no [deployment]", 'write it, and name = "flights" below it')
    deployment = read_deployment(
        document.get("deployment", {"name": "x"}), path.absolute().parent, runtimes, problems
    )
    hosts = read_hosts(raw_hosts, document.get("defaults", {}), problems)
    problems.raise_any()
    return Inventory(path, deployment, hosts, lines)


def resolve(inventory: Inventory, hostname_of: Callable[[Host], str]) -> Inventory:
    """Fill in the addresses that the inventory leaves to SSH, and check all of them.

    Args:
        inventory: As it was read.
        hostname_of: The HostName that `ssh -G` has for a host.

    Raises:
        InventoryError: If two processes share an address, or peers cannot reach one.
    """
    names = [host.name for host in inventory.hosts]
    problems = Problems(inventory.path, inventory.lines, names)
    hosts = {}
    for index, host in enumerate(inventory.hosts):
        if host.address is not None:
            hosts[index] = host
            continue
        path = ("hosts", index, "address")
        address = problems.check(path, hostname_of(host), values.peer_host)
        hosts[index] = replace(host, address=address)
    check_addresses(hosts, problems)
    problems.raise_any()
    return replace(inventory, hosts=tuple(hosts.values()))


def _list(raw: object) -> list[object]:
    return raw if isinstance(raw, list) else []
