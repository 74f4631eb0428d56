"""Reading `[defaults]` and `[[hosts]]`, and the rules that hold over all hosts."""

from collections.abc import Mapping
from dataclasses import replace

from ctl.inventory import keys
from ctl.inventory.lines import KeyPath
from ctl.inventory.model import Host
from ctl.inventory.problems import Problems
from ctl.inventory.tables import read_table
from ctl.inventory.values import shown
from engine.settings import Address

_HIGHEST_PORT = 65535
_AN_EXAMPLE = 'write [[hosts]], and name = "alpha" below it, once for each host'


def read_hosts(raw: object, defaults: object, problems: Problems) -> tuple[Host, ...]:
    """Read all hosts; what is wrong is noted.

    Args:
        raw: What `tomllib` found under `hosts`.
        defaults: What it found under `defaults`.
        problems: Where to note what is wrong; the result is then of no use.
    """
    shared = read_table(defaults, ("defaults",), keys.DEFAULTS_KEYS, problems)
    wrong_defaults = _keys_of(defaults) - shared.keys()
    if not isinstance(raw, list):
        problems.add(("hosts",), f"`hosts` is {shown(raw)}", _AN_EXAMPLE)
        return ()
    if not raw:
        problems.add(("hosts",), "there are no hosts", _AN_EXAMPLE)
    hosts = []
    addressed = {}
    for index, each in enumerate(raw):
        path: KeyPath = ("hosts", index)
        own = _read_host(each, path, problems)
        found = {"name": "", **shared, **own}
        host = Host(**{"ssh": found["name"], **found})
        hosts.append(host)
        wrong = (_keys_of(each) | wrong_defaults) - own.keys()
        if wrong.isdisjoint({"transport", "address", "mesh_port", "processes"}):
            addressed[index] = host
    _check_names(hosts, problems)
    addressed = {
        index: _with_local_address(host, index, hosts, problems)
        for index, host in addressed.items()
    }
    check_addresses(addressed, problems)
    return tuple(addressed.get(index, host) for index, host in enumerate(hosts))


def check_addresses(hosts: Mapping[int, Host], problems: Problems) -> None:
    """Note every `address:port` that is there twice or that peers cannot reach.

    Args:
        hosts: By their index; a host without address is passed over.
        problems: Where to note what is wrong.
    """
    are_apart = any(host.address and not _is_loopback(host) for host in hosts.values())
    taken: dict[str, list[Host]] = {}
    for index, host in hosts.items():
        path: KeyPath = ("hosts", index, "address")
        _check_last_port(host, index, problems)
        if host.address is None:
            continue
        if are_apart and _is_loopback(host):
            problem = f"address {host.address} is loopback, which other hosts cannot reach"
            problems.add(path, problem, "write the one that they dial")
        others = taken.setdefault(host.address, [])
        for other in others:
            shared = max(host.mesh_port, other.mesh_port)
            if shared < min(host.mesh_port + host.processes, other.mesh_port + other.processes):
                problem = (
                    f"{Address(host.address, shared)} is taken by {other.name or 'another host'}"
                )
                problems.add(path, problem, "give each its own address, or its own `mesh_port`")
        others.append(host)


def _read_host(raw: object, path: KeyPath, problems: Problems) -> dict[str, object]:
    if not isinstance(raw, dict):
        problems.add(path, f"is {shown(raw)}", _AN_EXAMPLE, inside=path)
        return {}
    return read_table(raw, path, keys.HOST_KEYS, problems, required=("name",))


def _keys_of(raw: object) -> set[str]:
    return set(raw) if isinstance(raw, dict) else set()


def _check_names(hosts: list[Host], problems: Problems) -> None:
    first: dict[str, int] = {}
    for index, host in enumerate(hosts):
        if host.name and first.setdefault(host.name, index) != index:
            problem = f"hosts[{first[host.name]}] has the same name"
            problems.add(("hosts", index, "name"), problem, "rename one of them")


def _with_local_address(host: Host, index: int, hosts: list[Host], problems: Problems) -> Host:
    """The host with the address that it has where all hosts are this machine."""
    if host.transport != "local" or host.address is not None:
        return host
    if any(each.transport != "local" for each in hosts):
        path: KeyPath = ("hosts", index, "address")
        problem = "this machine needs an `address`, as there are other hosts"
        problems.add(path, problem, "write the one that they dial")
        return host
    return replace(host, address="127.0.0.1")


def _check_last_port(host: Host, index: int, problems: Problems) -> None:
    last = host.mesh_port + host.processes - 1
    if last > _HIGHEST_PORT:
        problem = f"{shown(host.processes)} processes do not fit above `mesh_port` {host.mesh_port}"
        fix = f"lower one of the two; the highest port is {_HIGHEST_PORT}"
        problems.add(("hosts", index, "mesh_port"), problem, fix)


def _is_loopback(host: Host) -> bool:
    return Address(host.address or "", host.mesh_port).is_loopback
