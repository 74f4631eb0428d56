"""What one process of a cluster is told at its start."""

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from engine.errors import ConfigurationError

LONGEST_SECONDS = 31_536_000
"""A year: longer than anybody waits, and safe for every clock."""


class Address(NamedTuple):
    """Where a process listens for its peers."""

    host: str
    port: int

    @classmethod
    def parse(cls, text: str) -> "Address":
        """Read `host:port`, with an IPv6 host in brackets.

        Raises:
            ConfigurationError: If it is neither.
        """
        host, colon, port = text.strip().rpartition(":")
        bracketed = host.startswith("[") and host.endswith("]")
        if bracketed:
            host = host[1:-1]
        if not colon or not host or (":" in host) != bracketed:
            msg = f"address {text!r} is not host:port; an IPv6 host goes in brackets: [::1]:9000"
            raise ConfigurationError(msg)
        if not port.isascii() or not port.isdigit() or not 0 < int(port) < 65536:
            msg = f"address {text!r}: the port is a number from 1 to 65535"
            raise ConfigurationError(msg)
        return cls(host, int(port))

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine can reach it."""
        try:
            address = ipaddress.ip_address(self.host)
        except ValueError:
            return self.host == "localhost"
        # Python 3.13 is the first to know that ::ffff:127.0.0.1 is 127.0.0.1.
        mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
        return (mapped or address).is_loopback

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def parse_addresses(text: str) -> tuple[Address, ...]:
    """Read an ordered address list, split by `;` or `,`.

    Raises:
        ConfigurationError: If an entry is no address, or is there twice.
    """
    entries = [entry for entry in text.replace(",", ";").split(";") if entry.strip()]
    addresses = tuple(Address.parse(entry) for entry in entries)
    for index, address in enumerate(addresses):
        if address in addresses[:index]:
            msg = f"address {address} is in the list twice; every process needs its own"
            raise ConfigurationError(msg)
    return addresses


@dataclass(frozen=True)
class TlsFiles:
    """PEM files for mutual TLS.

    Args:
        ca: Certificates that sign every process of the cluster.
        cert: Certificate of this process, with the URI `hostmesh:process:<id>` as a subject
            alternative name.
        key: Its private key.
    """

    ca: Path
    cert: Path
    key: Path


@dataclass(frozen=True)
class ClusterSettings:
    """What one process of a cluster is told at its start.

    Args:
        addresses: The ordered address list; empty for a cluster of one process.
        process_id: Index of this process in that list.
        workers: Worker threads in each process.
        cluster_id: Name that all processes of a cluster share.
        secret: Shared secret of the cluster.
        tls: Files for mutual TLS.
        insecure: Whether a mesh beyond loopback may do without TLS.
        bind: Host to listen on, if it is not that of the own address.
        listen_fd: Descriptor of a socket that listens already.
        heartbeat_timeout: Silence, in seconds, after which a peer is taken for dead.
        assemble_timeout: Seconds to wait for all peers.
        epoch_interval: Seconds from one epoch to the next.
        health: Path of a Unix socket, or `host:port` on loopback, to answer on.
        report_fd: Descriptor to write the first failure to, as JSON, instead of printing it.
    """

    addresses: Sequence[Address] = ()
    process_id: int = 0
    workers: int = 1
    cluster_id: str = ""
    secret: bytes | None = None
    tls: TlsFiles | None = None
    insecure: bool = False
    bind: str | None = None
    listen_fd: int | None = None
    heartbeat_timeout: float = 30.0
    assemble_timeout: float = 300.0
    epoch_interval: float = 10.0
    health: str | None = None
    report_fd: int | None = None

    def __post_init__(self) -> None:
        if self.workers < 1:
            msg = f"workers per process is {self.workers}; it has to be 1 or more"
            raise ConfigurationError(msg)
        if not 0 <= self.process_id < self.process_count:
            msg = (
                f"process id {self.process_id} is not in the address list, "
                f"whose ids are 0 to {self.process_count - 1}"
            )
            raise ConfigurationError(msg)
        for name in ("heartbeat_timeout", "assemble_timeout"):
            if getattr(self, name) <= 0:
                msg = f"{name.replace('_', ' ')} has to be more than 0 seconds"
                raise ConfigurationError(msg)
            if getattr(self, name) > LONGEST_SECONDS:
                msg = f"{name.replace('_', ' ')} has to be {LONGEST_SECONDS} seconds at most"
                raise ConfigurationError(msg)
        if self.epoch_interval != 0 and not 0.0001 <= self.epoch_interval <= LONGEST_SECONDS:
            msg = f"the epoch interval has to be 0, or from 0.0001 to {LONGEST_SECONDS} seconds"
            raise ConfigurationError(msg)

    @property
    def process_count(self) -> int:
        """Processes in the cluster."""
        return max(1, len(self.addresses))

    @property
    def worker_count(self) -> int:
        """Workers in the cluster."""
        return self.process_count * self.workers

    def process_of(self, worker: int) -> int:
        """ID of the process that hosts a worker."""
        return worker // self.workers
