"""What carries the connections of a mesh that has no protection of its own, on real networks."""

import re
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest

from ctl.inventory import load
from ctl.relaying import loopback_addresses
from ctl.remote.relay.joint import SILENCE_SECONDS
from tests.engine.running import eventually
from tests.fleet.fleets import Fleet
from tests.fleet.hosts import FleetHost
from tests.fleet.refusing import refused, untouched
from tests.fleet.scripts import deploy, lines, states
from tests.fleet.site import Site
from tests.fleet.test_preflight import listening

MESH_PORT = "9000"
ENDED_SECONDS = SILENCE_SECONDS + 5

PEERS = '''
"""What each program knows of the others: connections with all, dialed by the higher ID."""
import os
import socket
import time

ME = int(os.environ["HOSTMESH_PROCESS_ID"])
PLACES = [
    (host, int(port))
    for host, _, port in (
        each.rpartition(":") for each in os.environ["HOSTMESH_ADDRESSES"].split(";")
    )
]
LISTENER = socket.create_server(PLACES[ME])


def say(*words):
    print(*words, flush=True)


def dial(peer):
    until = time.monotonic() + 60
    while True:
        try:
            return socket.create_connection(PLACES[peer])
        except OSError:
            assert time.monotonic() < until, "nobody is there"
            time.sleep(0.05)
'''


def deployed(fleet: Fleet, hosts: Sequence[FleetHost], program: str, **options: object) -> Site:
    """The operator of a program that runs on hosts."""
    site = fleet.site()
    command = {"runtime": "command", "command": ["python", "flow.py"]}
    site.inventory(hosts, deployment={**command, **options})
    site.write("peers.py", PEERS)
    site.write("flow.py", program)
    deploy(site)
    return site


def said(site: Site, process: int, start: str) -> list[str]:
    """The rest of each line of a process, or of its relay, that begins like this."""
    texts = [line["text"] for line in lines(site, "--process", process)]
    return [text.removeprefix(start).strip() for text in texts if text.startswith(start)]


def await_lines(
    site: Site, process: int, start: str, count: int = 1, seconds: float = 30
) -> list[str]:
    """The same, once there are so many."""
    what = f"{count} lines of process {process} with {start!r}"
    eventually(lambda: len(said(site, process, start)) >= count, what, seconds)
    return said(site, process, start)


# Strangers.

WELCOMES = """
from peers import LISTENER, ME, dial, say

if ME == 1:
    peer = dial(0)
    peer.sendall(b"a friend")
while True:
    with LISTENER.accept()[0] as visitor:
        say("came:", visitor.recv(100))
"""

STRANGER = """
import contextlib, pickle, socket, ssl, sys

place = sys.argv[1], int(sys.argv[2])
said = [b"GET / HTTP/1.1\\r\\nHost: x\\r\\n\\r\\n", pickle.dumps("a stranger")]
for each in said:
    with socket.create_connection(place, 10) as sock:
        sock.sendall(each)
        # It may be reset by now.
        with contextlib.suppress(OSError):
            sock.shutdown(socket.SHUT_WR)
            sock.recv(100)
made = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
made.check_hostname, made.verify_mode = False, ssl.CERT_NONE
with contextlib.suppress(OSError), socket.create_connection(place, 10) as sock:
    with made.wrap_socket(sock) as tls:
        tls.sendall(b"a stranger with TLS")
        tls.recv(100)
"""


@pytest.mark.parametrize("mesh", ["relay", "direct"])
def test_a_stranger_does_not_reach_the_engine(docker_fleet: Fleet, mesh: str) -> None:
    alpha, beta, gamma = docker_fleet(3)
    site = deployed(docker_fleet, [alpha, beta], WELCOMES, mesh=mesh)
    await_lines(site, 0, "came: b'a friend'")
    gamma.run("python3", "-c", STRANGER, alpha.address, MESH_PORT)
    if mesh == "direct":
        # What the relay is for.
        assert len(await_lines(site, 0, "came:", 4)) == 4
        return
    reasons = await_lines(site, 0, f"hostmesh relay: turned away {gamma.address}", 3)
    assert ["certificate" in reason for reason in reasons] == [False, False, True]
    assert said(site, 0, "came:") == ["b'a friend'"]


# Programs in the way.


@pytest.mark.parametrize("number", [0, 1])
def test_a_loopback_port_of_the_relay_that_another_program_has(
    docker_fleet: Fleet, number: int
) -> None:
    """Where the engine listens, or where it dials its peer: all have to be free on every host."""
    hosts = docker_fleet(2)
    site = docker_fleet.site()
    options = {"runtime": "command", "command": ["python", "flow.py"]}
    inventory = load(site.inventory(hosts, deployment=options))
    site.write("flow.py", "")
    address = loopback_addresses(inventory)[number]
    with listening(hosts[1], address.host, address.port):
        ran = site.ctl("deploy", "inventory.toml", "flow.py")
        in_use = rf"{re.escape(str(address))}, where its mesh is relayed, is in use"
        report = refused(ran, 69, beta=in_use)
        assert "exit 69; nothing was changed" in report
        untouched(hosts, "create_server")
    deploy(site)


# What is on the wire.

CANARY = "nightingale"

SINGS = f"""
import threading

from peers import LISTENER, ME, dial, say

SONG = b"{CANARY}" * 50_000


def sing():
    peer.sendall(SONG)
    peer.shutdown(1)


peer = dial(0) if ME else LISTENER.accept()[0]
threading.Thread(target=sing).start()
heard = peer.makefile("rb").read()
assert heard == SONG
say("heard", len(heard))
threading.Event().wait()
"""

SNIFFER = """
import pathlib, socket, struct, sys

canary, port = sys.argv[1].encode(), int(sys.argv[2])
wire = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
# Room for all that comes before it is read.
wire.setsockopt(socket.SOL_SOCKET, getattr(socket, "SO_RCVBUFFORCE", 33), 16 << 20)
wire.bind(("eth0", 0x0003))
wire.settimeout(0.1)
asked = pathlib.Path("sniff")
asked.touch()
sizes = [0] * 4
while True:
    try:
        # More than a packet can have: cards put some together.
        packet, (_, _, kind, *_) = wire.recvfrom(1 << 17)
    except TimeoutError:
        if not asked.exists():
            break
        continue
    # Behind the headers of Ethernet and IP.
    if port in struct.unpack_from("!HH", packet.ljust(38), 34):
        sizes[2 * (kind == socket.PACKET_OUTGOING) + (canary in packet)] += len(packet)
print(*sizes)
"""


@contextmanager
def sniffing(host: FleetHost) -> Iterator[Callable[[], list[int]]]:
    """Look at all that comes to the mesh port of a host and goes from it.

    Gives what ends it, and tells how many bytes were in packets without and with the canary, first
    of those that came, then of those that went.
    """
    with ThreadPoolExecutor(1) as pool:
        words = ("python3", "-c", SNIFFER, CANARY, MESH_PORT)
        found = pool.submit(host.run, *words, user="root")

        def end() -> list[int]:
            host.run("rm", "-f", "sniff", user="root")
            return [int(each) for each in found.result().split()]

        eventually(lambda: host.attempt("ls", "sniff", user="root").returncode == 0, "a sniffer")
        try:
            yield end
        finally:
            end()


@pytest.mark.parametrize("mesh", ["relay", "direct"])
def test_what_is_on_the_wire_tells_nothing(docker_fleet: Fleet, mesh: str) -> None:
    hosts = docker_fleet(2)
    with sniffing(hosts[0]) as end:
        site = deployed(docker_fleet, hosts, SINGS, mesh=mesh)
        [[size], _] = [await_lines(site, process, "heard") for process in range(2)]
        came_without, came_with, went_without, went_with = end()
    if mesh == "direct":
        assert min(came_with, went_with) > int(size)
    else:
        assert min(came_without, went_without) > int(size)
        assert (came_with, went_with) == (0, 0)


# A link that breaks.

WAITS = """
import threading
from pathlib import Path

from peers import LISTENER, ME, PLACES, dial, say


def wait(peer, sock):
    try:
        end = repr(sock.recv(1))
    except OSError as error:
        end = type(error).__name__
    Path.home().joinpath(f"end-of-{peer}").write_text(f"{end}\\n")


peers = {}
for peer in range(ME):
    peers[peer] = dial(peer)
    peers[peer].sendall(bytes([ME]))
    # Until then the engine of the peer may not be there.
    peers[peer].recv(1)
for _ in PLACES[ME + 1 :]:
    sock = LISTENER.accept()[0]
    peers[sock.recv(1)[0]] = sock
    sock.sendall(b"!")
for each in peers.items():
    threading.Thread(target=wait, args=each).start()
say("joined")
threading.Event().wait()
"""


def test_a_link_that_breaks_ends_the_connections_of_the_engines(docker_fleet: Fleet) -> None:
    _, beta, gamma = hosts = docker_fleet(3)
    site = deployed(docker_fleet, hosts, WAITS, ready={"log": "^joined$"})

    def ends() -> list[str]:
        found = [host.attempt("sh", "-c", "cat end-of-*").stdout for host in hosts]
        return "".join(found).split()

    # One loses its network, all packets of another are lost, and what the third has is broken
    # with them.
    beta.cut()
    gamma.drop()
    eventually(lambda: len(ends()) == 6, "the ends of all connections", ENDED_SECONDS)
    assert ends() == ["ConnectionResetError"] * 6
    beta.reconnect()
    gamma.undrop()
    start = "hostmesh relay: process"
    whys = sorted(line.partition(": ")[2] for line in said(site, 0, start))
    assert whys == ["nothing was heard of it for too long"] * 2
    assert states(site) == ["running"] * 3


# Much data.

MEMORY_LIMIT_KB = 50_000

BULK = """
import hashlib
import random
import threading

from peers import LISTENER, ME, dial, say

BLOCK, BLOCKS = 1 << 20, 1 << 10


def send(peer):
    noise = random.Random(ME).randbytes(BLOCK)
    digest = hashlib.sha256()
    for number in range(BLOCKS):
        block = noise[number:] + noise[:number]
        digest.update(block)
        peer.sendall(block)
    peer.shutdown(1)
    say("sent", digest.hexdigest())


peer = dial(0) if ME else LISTENER.accept()[0]
threading.Thread(target=send, args=(peer,)).start()
digest, size, buffer = hashlib.sha256(), 0, memoryview(bytearray(BLOCK))
while count := peer.recv_into(buffer):
    digest.update(buffer[:count])
    size += count
say("received", digest.hexdigest())
say("of", size)
threading.Event().wait()
"""


def relay_memory_kb(host: FleetHost) -> int:
    """The most that the relay of a host has had."""
    [pid] = [each.pid for each in host.processes() if "ctl.remote.relay.program" in str(each.argv)]
    status = host.read(f"/proc/{pid}/status").splitlines()
    return next(int(line.split()[1]) for line in status if line.startswith("VmHWM"))


def test_a_gigabyte_each_way_arrives_intact_in_bounded_memory(docker_fleet: Fleet) -> None:
    hosts = docker_fleet(2)
    site = deployed(docker_fleet, hosts, BULK)
    sent, received = (
        [await_lines(site, process, word, seconds=120) for process in range(2)]
        for word in ("sent", "received")
    )
    assert sent == received[::-1]
    assert sent[0] != sent[1]
    assert [said(site, process, "of") for process in range(2)] == [[str(1 << 30)]] * 2
    for host in hosts:
        assert relay_memory_kb(host) < MEMORY_LIMIT_KB
