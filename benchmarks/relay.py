"""Measure the relay of foreign engines beside a bare `ssl` loop: `python -m benchmarks.relay`.

Two processes on this machine send to each other directly, over bare `ssl`, and through two relays.
"""

import argparse
import contextlib
import multiprocessing
import socket
import ssl
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ctl.remote.relay.tls import context
from tests.ctl.remote.relay.two_hosts import TwoHosts, start_program, write_certificates

PINGS = 2000
PIECE = 1 << 18
BULK_TARGET = 0.6
"""Least rate of the relay, as a part of that of bare `ssl`."""

ADDED_TARGET = 300e-6
"""Most seconds that the relay adds to a round trip, at the median."""

Place = tuple[str, int]


@dataclass(frozen=True)
class Way:
    """How two processes talk to each other.

    Args:
        name: For people.
        listens: Where one listens.
        dials: Where the other connects to.
        tls: Folder with certificates, if they use TLS themselves.
    """

    name: str
    listens: Place
    dials: Place
    tls: Path | None = None


@dataclass(frozen=True)
class Sample:
    """What one run took.

    Args:
        round_trip: Seconds, the median of many.
        rate: Bytes in a second.
    """

    round_trip: float
    rate: float


def main(arguments: list[str] | None = None) -> int:
    """Measure, print, and return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.relay", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, help="runs that count (default: 5)")
    parser.add_argument("--megabytes", type=int, default=500, help="of each (default: 500)")
    chosen = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder, _relayed(Path(folder)) as hosts:
        ways = [
            Way("direct", (hosts.engines[0][0], 22000), (hosts.engines[0][0], 22000)),
            Way(
                "ssl",
                (hosts.engines[0][0], 22001),
                (hosts.engines[0][0], 22001),
                hosts.folder / "tls",
            ),
            Way("relay", hosts.engines[0], hosts.local(1)),
        ]
        samples: dict[str, list[Sample]] = {way.name: [] for way in ways}
        for _ in range(chosen.rounds):
            for way in ways:
                samples[way.name].append(measure(way, chosen.megabytes << 20))
    trips = {name: _median(each.round_trip for each in taken) for name, taken in samples.items()}
    rates = {name: _median(each.rate for each in taken) for name, taken in samples.items()}
    for name in samples:
        print(f"  {name:8}{rates[name] / 1e6:9.0f} MB/s{trips[name] * 1e6:9.0f} µs")
    ratio, added = rates["relay"] / rates["ssl"], trips["relay"] - trips["direct"]
    print(f"  bulk {ratio:.2f}x of ssl (≥ {BULK_TARGET}): {_word(ratio >= BULK_TARGET)}")
    print(
        f"  added {added * 1e6:.0f} µs (≤ {ADDED_TARGET * 1e6:.0f}): {_word(added <= ADDED_TARGET)}"
    )
    return 0


def measure(way: Way, size: int) -> Sample:
    """Time round trips, and the way of many bytes to the other process."""
    listener = socket.create_server(way.listens)
    server = multiprocessing.get_context("fork").Process(target=_serve, args=(listener, way.tls))
    server.start()
    listener.close()
    with contextlib.closing(_connect(way)) as sock:
        trips = []
        for _ in range(PINGS):
            begin = time.perf_counter()
            sock.sendall(b"ping")
            sock.recv(64)
            trips.append(time.perf_counter() - begin)
        sock.sendall(b"done")
        sock.recv(64)
        piece = bytes(PIECE)
        begin = time.perf_counter()
        for _ in range(size // PIECE):
            sock.sendall(piece)
        sock.sendall(b"!")
        sock.recv(64)
        taken = time.perf_counter() - begin
    server.join()
    return Sample(statistics.median(trips), size / taken)


def _serve(listener: socket.socket, tls: Path | None) -> None:
    sock, _ = listener.accept()
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if tls is not None:
        sock = context(tls, 0, server=True).wrap_socket(sock, server_side=True)
    while (data := sock.recv(64)) != b"done":
        sock.sendall(data)
    sock.sendall(data)
    buffer = bytearray(PIECE)
    while (count := sock.recv_into(buffer)) and buffer[count - 1] != ord("!"):
        pass
    sock.sendall(b"k")
    sock.close()


def _connect(way: Way) -> socket.socket:
    sock = socket.create_connection(way.dials)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if way.tls is None:
        return sock
    made: ssl.SSLContext = context(way.tls, 1, server=False)
    return made.wrap_socket(sock)


@contextlib.contextmanager
def _relayed(folder: Path) -> Iterator[TwoHosts]:
    write_certificates(folder / "tls", 0, 1)
    hosts = TwoHosts(folder)
    file = hosts.write_launch()
    relays = [start_program(file, k) for k in (0, 1)]
    try:
        yield hosts
    finally:
        for each in relays:
            each.kill()
            each.wait()


def _median(values: Iterator[float]) -> float:
    return statistics.median(values)


def _word(reached: bool) -> str:
    return "pass" if reached else "short"


if __name__ == "__main__":
    sys.exit(main())
