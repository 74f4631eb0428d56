"""Two hosts on one machine, each with addresses of loopback that are its own."""

import contextlib
import json
import os
import queue
import random
import socket
import struct
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path

from ctl.certificates import mint
from ctl.remote.relay.carrying import Carrier
from ctl.remote.relay.loop import IN, Loop
from ctl.remote.relay.relay import Relay
from ctl.remote.relay.settings import Settings
from ctl.remote.relay.sockets import Farewell

ROOT = Path(__file__).parents[4]
LIMIT = 20.0
PROGRAM = (
    f"import sys; sys.path.insert(0, {str(ROOT)!r}); "
    "from ctl.remote.relay.program import main; main(sys.argv[1:])"
)


def write_certificates(folder, *processes):
    """Write what a host is given for some processes."""
    minted = mint("test", processes)
    folder.mkdir(parents=True)
    (folder / "ca.pem").write_text(minted.authority)
    for number, (certificate, key) in minted.processes.items():
        (folder / f"{number}.pem").write_text(certificate)
        (folder / f"{number}.key").write_text(key)


class TwoHosts:
    """Addresses of process 0 on one host and process 1 on the other; what a launch says of them.

    Args:
        folder: For the launch; its `tls` is there.
    """

    def __init__(self, folder):
        self.folder = folder
        # Where nobody else on this machine is, so that ports need not be found.
        start = f"127.{random.randrange(1, 255)}.{random.randrange(1, 255)}"
        self.engines = [(f"{start}.{1 + k}", 21000 + k) for k in (0, 1)]
        self.meshes = [(f"{start}.{11 + k}", 9000) for k in (0, 1)]

    def local(self, k):
        """Where the engine of one process dials the other."""
        return self.engines[k][0], 21000 + (1 - k)

    def spec(self, k):
        peer = {"id": 1 - k, "local": self.local(k), "address": self.meshes[1 - k]}
        return {"engine": self.engines[k], "mesh": self.meshes[k], "peers": [peer]}

    def settings(self, k, **changes):
        return replace(Settings.of(k, self.spec(k), self.folder), **changes)

    def write_launch(self):
        file = self.folder / "launch.json"
        processes = [{"id": k, "relay": self.spec(k)} for k in (0, 1)]
        file.write_text(json.dumps({"processes": processes}))
        return file

    def listen(self, k):
        """Be the engine of a process."""
        listener = socket.create_server(self.engines[k], backlog=1024)
        listener.settimeout(LIMIT)
        return listener

    def dial(self, k):
        """Be the engine of a process that dials the other."""
        return dial(self.local(k))

    def join(self, listener):
        """A connection from process 1 to 0, seen from both ends."""
        near = self.dial(1)
        return near, accept(listener)


def dial(place):
    sock = socket.create_connection(place, timeout=LIMIT)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return sock


def accept(listener):
    sock, _ = listener.accept()
    sock.settimeout(LIMIT)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return sock


def read_all(sock):
    """All that comes until the end."""
    data = bytearray()
    while more := sock.recv(1 << 20):
        data += more
    return bytes(data)


def reset(sock):
    """Close it as a process does that is killed with data unread."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


def is_reset(sock):
    """Wait for the end of a connection; tell whether it was reset."""
    try:
        while sock.recv(1 << 16):
            pass
    except ConnectionResetError:
        return True
    return False


class InThread:
    """A relay in a thread of the test.

    Args:
        settings: Its settings.
    """

    def __init__(self, settings):
        self.lines = []
        self._asked = queue.SimpleQueue()
        self._mine, theirs = self._pair = socket.socketpair()
        self._loop = Loop()
        self.relay = Relay(settings, self._loop, self.lines.append)

        def ready(_events):
            theirs.recv(64)
            while not self._asked.empty():
                self._asked.get()()

        self._loop.watch(theirs.fileno(), IN, ready)
        self._thread = threading.Thread(target=self._loop.run, daemon=True)
        self._thread.start()

    def call(self, action):
        """Do something in its thread, without waiting for it."""
        self._asked.put(action)
        with contextlib.suppress(OSError):
            self._mine.send(b"!")

    def drain(self):
        self.call(self.relay.drain)

    def stop(self):
        def stop():
            self.relay.close()
            self.break_links()
            for handshake in list(self.relay._half_open.values()):
                handshake.fail("stopped")
            for each in list(self.relay._open):
                if isinstance(each, Farewell):
                    each._close()
            self._loop.running = False

        self.call(stop)
        self.ended()
        resolver = self.relay._resolver
        for each in (*self._pair, resolver._mine, resolver._theirs, self._loop._epoll):
            each.close()

    def break_links(self):
        for each in list(self.relay._open):
            if isinstance(each, Carrier):
                each._broken("cut")
                each._do(each._joint.engine_failed())
                each._settle()

    def ended(self):
        """Wait for its end."""
        self._thread.join(LIMIT)
        assert not self._thread.is_alive()


def start_program(file, k):
    """A relay as a program, once it listens."""
    program = subprocess.Popen(
        [sys.executable, "-I", "-S", "-c", PROGRAM, str(file), str(k)],
        stdin=subprocess.PIPE,
        stderr=subprocess.PIPE,
        bufsize=0,
    )
    assert program.stderr is not None
    assert program.stderr.readline() == b"ready\n"
    return program


def peak_bytes(pid):
    """The most memory that a process has had."""
    status = Path(f"/proc/{pid}/status").read_text()
    line = next(line for line in status.splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) * 1024


def cpu_seconds(pid):
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
