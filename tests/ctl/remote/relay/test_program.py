"""Relays as programs: much data, little memory, and their sudden end."""

import contextlib
import hashlib
import os
import signal
import subprocess
import sys
import threading

import pytest

from ctl.remote.errors import UNREACHABLE
from tests.ctl.remote.relay.two_hosts import PROGRAM, accept, is_reset, peak_bytes, read_all

BYTES = int(os.environ.get("HOSTMESH_SOAK_BYTES", "104857600"))
"""What goes each way; more in a soak: HOSTMESH_SOAK_BYTES=1073741824."""

MOST_MEMORY = 64 << 20


class Sender(threading.Thread):
    """Sends random data and its end; knows its digest."""

    def __init__(self, sock):
        super().__init__()
        self._sock = sock
        self.digest = hashlib.blake2b()

    def run(self):
        piece = os.urandom(1 << 20)
        for number in range(BYTES >> 20):
            data = number.to_bytes(8, "big") + piece[8:]
            self.digest.update(data)
            self._sock.sendall(data)
        self._sock.shutdown(1)


class Reader(threading.Thread):
    """Reads all; knows how much, and its digest."""

    def __init__(self, sock):
        super().__init__()
        self._sock = sock
        self.digest = hashlib.blake2b()
        self.size = 0

    def run(self):
        while data := self._sock.recv(1 << 20):
            self.digest.update(data)
            self.size += len(data)


def test_much_goes_both_ways_in_little_memory(hosts, programs):
    with hosts.listen(0) as listener:
        ends = hosts.join(listener)
    for sock in ends:
        sock.settimeout(250)
    senders, readers = [Sender(sock) for sock in ends], [Reader(sock) for sock in ends]
    for thread in (*senders, *readers):
        thread.start()
    for thread in (*senders, *readers):
        thread.join()
    for sender, reader, sock in zip(senders, readers[::-1], ends, strict=True):
        assert reader.size == BYTES >> 20 << 20
        assert reader.digest.digest() == sender.digest.digest()
        sock.close()
    assert max(peak_bytes(each.pid) for each in programs) < MOST_MEMORY


def test_many_held_up_connections_take_little_memory(hosts, programs):
    with hosts.listen(0) as listener:
        pairs = [hosts.join(listener) for _ in range(20)]
    for near, _ in pairs:
        near.setblocking(False)
    sent = [0 for _ in pairs]
    # Until all that lies between is full.
    stuck = 0
    while stuck < 20:
        before = sum(sent)
        for number, (near, _) in enumerate(pairs):
            try:
                sent[number] += near.send(bytes(1 << 18))
            except BlockingIOError:
                continue
        stuck = stuck + 1 if sum(sent) == before else 0
        threading.Event().wait(0.01)
    for (near, far), size in zip(pairs, sent, strict=True):
        near.shutdown(1)
        assert len(read_all(far)) == size
        near.close()
        far.close()
    assert max(peak_bytes(each.pid) for each in programs) < MOST_MEMORY


@pytest.mark.parametrize("killed", [0, 1])
def test_the_end_of_a_relay_is_a_reset_at_both_ends(hosts, programs, killed):
    with hosts.listen(0) as listener:
        near, far = hosts.join(listener)
    far.sendall(b"!")
    assert near.recv(1) == b"!"
    programs[killed].kill()
    with near, far:
        beyond = far if killed == 1 else near
        assert is_reset(beyond)
        # Its own engine has been told by the system, as of any process that is killed.
        own = near if killed == 1 else far
        with contextlib.suppress(ConnectionResetError):
            assert own.recv(1) == b""


def test_signals_for_all_processes_of_a_user_do_not_end_it(hosts, programs):
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        programs[1].send_signal(number)
    with hosts.listen(0) as listener, hosts.dial(1) as near, accept(listener) as far:
        near.sendall(b"x")
        assert far.recv(1) == b"x"


def test_it_ends_when_nobody_needs_it(hosts, programs):
    programs[0].stdin.close()
    assert programs[0].wait(20) == 0
    assert programs[0].stderr.read() == b""


def test_an_address_in_use_is_named(hosts):
    file = hosts.write_launch()
    with hosts.listen(0):
        # The engine of the other process sits where this one is expected.
        hosts.meshes[1] = hosts.engines[0]
        file = hosts.write_launch()
        words = [sys.executable, "-I", "-S", "-c", PROGRAM, str(file), "1"]
        done = subprocess.run(words, capture_output=True, stdin=subprocess.DEVNULL, check=False)
    assert done.returncode == UNREACHABLE
    host, port = hosts.engines[0]
    assert done.stderr.decode() == f"cannot listen on {host}:{port}: address already in use\n"
