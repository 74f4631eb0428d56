"""The connections of a process with its peers, as the kernel lists them."""

import contextlib
import ipaddress
import os
import socket
import struct
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import NamedTuple

from ctl.remote.joined import is_joined

_ESTABLISHED, _LISTENING = "01", "0A"

Place = tuple[str, int]


class Connection(NamedTuple):
    """One connection; hosts are IP addresses in one spelling.

    Args:
        local: Our end.
        remote: The other end.
    """

    local: Place
    remote: Place


def established(pid: int) -> list[Connection]:
    """The TCP connections that a process has and that are open at both ends.

    One that waits to be accepted is not among them.

    Args:
        pid: Of the process; it has to be ours.
    """
    return list(_listed(pid, _ESTABLISHED))


def listening(pid: int) -> list[Place]:
    """Where a process takes connections.

    Args:
        pid: Of the process; it has to be ours.
    """
    return [each.local for each in _listed(pid, _LISTENING)]


def is_held(end: Place, other: Place) -> bool:
    """Whether any process of this host still has one end of a connection, be it half closed.

    Args:
        end: Address of that end.
        other: Address of the other end.
    """
    wanted, port = Connection(end, other), f":{end[1]:04X}"
    # The kernel lists for some time what was closed, but then no file belongs to it.
    return any(
        words[9] != "0" and words[1].endswith(port) and _connection(words) == wanted
        for words in _rows("self")
    )


def is_listened_on(port: int) -> bool:
    """Whether any process of this host takes connections at a port, at whatever address."""
    wanted = f":{port:04X}"
    return any(words[3] == _LISTENING and words[1].endswith(wanted) for words in _rows("self"))


def session(leader: int) -> list[int]:
    """The processes of a session.

    Args:
        leader: Process ID of the one that leads it.
    """
    found = []
    for name in filter(str.isdigit, os.listdir("/proc")):  # noqa: PTH208  # names alone
        with contextlib.suppress(OSError):
            if os.getsid(int(name)) == leader:
                found.append(int(name))
    return found


def missing(
    process: int,
    addresses: Sequence[Place],
    connections: Sequence[Connection],
    hosts: Sequence[str] = (),
    relayed: Path | None = None,
) -> str:
    """Which peers a process has no connection with, for people; nothing if it has all.

    Each process dials those with lower IDs and is dialed by those with higher ones.

    Args:
        process: Its ID.
        addresses: Where each process listens, in the order of their IDs.
        connections: Of the process.
        hosts: Names of the hosts of the processes, as relays make addresses that tell none.
        relayed: Folder of the launch, if relays carry what is dialed to other hosts; the kernel
            lists it also while it is held, with nobody at the other end.
    """
    lacking = []
    for number in range(process):
        places = _resolved(*addresses[number])
        ports = [each.local[1] for each in connections if each.remote in places]
        if relayed is not None and hosts[number] != hosts[process]:
            ports = [port for port in ports if is_joined(relayed, number, port)]
        if not ports:
            lacking.append(number)
    reasons = [_named(number, addresses, hosts) for number in lacking]
    came = Counter(each.remote[0] for each in connections if each.local[1] == addresses[process][1])
    higher = range(process + 1, len(addresses))
    fewer = len(higher) - came.total()
    if fewer > 0:
        # Who dials shows its host and no port of its own, so several on one host look alike.
        absent = [
            n for n in higher if all(host not in came for host, _ in _resolved(*addresses[n]))
        ]
        candidates = absent if len(absent) == fewer else list(higher)
        which = ", ".join(_named(number, addresses, hosts) for number in candidates)
        reasons.append(which if len(candidates) == fewer else f"{fewer} of {which}")
    return f"no connection with {', '.join(reasons)}" if reasons else ""


def _named(number: int, addresses: Sequence[Place], hosts: Sequence[str]) -> str:
    host, port = addresses[number]
    address = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    return f"process {number}{f' on {hosts[number]}' if hosts else ''} ({address})"


def _listed(pid: int, state: str) -> Iterator[Connection]:
    own = set(_sockets(pid))
    rows = _rows(pid)
    return (_connection(words) for words in rows if words[3] == state and words[9] in own)


def _rows(pid: object) -> Iterator[list[str]]:
    """The words of each connection that a process could see: the state is 3, the inode 9."""
    for name in ("tcp", "tcp6"):
        with contextlib.suppress(OSError), open(f"/proc/{pid}/net/{name}") as file:  # noqa: PTH123
            next(file, None)
            for line in file:
                words = line.split()
                if len(words) > 9:
                    yield words


def _connection(words: list[str]) -> Connection:
    """Its ends, which take longer to make out than all the rest."""
    return Connection(_place(words[1]), _place(words[2]))


def _sockets(pid: int) -> Iterator[str]:
    folder = f"/proc/{pid}/fd"
    with contextlib.suppress(OSError):
        for name in os.listdir(folder):  # noqa: PTH208  # names of links alone
            with contextlib.suppress(OSError):
                target = os.readlink(f"{folder}/{name}")  # noqa: PTH115
                if target.startswith("socket:["):
                    yield target[8:-1]


def _place(text: str) -> Place:
    """An address as the kernel lists it: words of 4 bytes in the order of the machine."""
    host, _, port = text.partition(":")
    words = bytes.fromhex(host)
    count = len(words) // 4
    return _plain(struct.pack(f"!{count}I", *struct.unpack(f"={count}I", words))), int(port, 16)


def _plain(packed: bytes) -> str:
    address = ipaddress.ip_address(packed)
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return str(mapped or address)


@cache
def _resolved(host: str, port: int) -> frozenset[Place]:
    with contextlib.suppress(OSError, UnicodeError):
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        hosts = {str(each[4][0]).partition("%")[0] for each in found}
        return frozenset((_plain(ipaddress.ip_address(each).packed), port) for each in hosts)
    return frozenset()
