"""A relay beside its process, under a supervisor."""

import os
import shutil
import signal
import sys
from pathlib import Path

import pytest

from ctl.remote.errors import UNREACHABLE
from ctl.remote.processes import ProcessFolder
from ctl.remote.root import write_json
from tests.ctl.remote.machine import ended, ends, log, marked, prints, spec
from tests.ctl.remote.relay.two_hosts import is_reset
from tests.engine.running import eventually

SERVER = """
import socket, sys
listener = socket.create_server((sys.argv[1], int(sys.argv[2])))
print("listening", flush=True)
while True:
    sock = listener.accept()[0]
    while data := sock.recv(1 << 16):
        if data == b"end":
            sys.exit()
        sock.sendall(data)
"""
"""Sends back what it gets, until it is told to end."""

CLIENT = """
import socket, sys
sock = socket.create_connection((sys.argv[1], int(sys.argv[2])))
sock.sendall(b"hello")
print("got", sock.recv(100).decode(), flush=True)
sock.sendall(bytes(5 << 20))
sock.close()
"""
"""Ends with much of what it has sent still on its way."""

SINK = """
import socket, sys
listener = socket.create_server((sys.argv[1], int(sys.argv[2])))
sock = listener.accept()[0]
sock.sendall(sock.recv(100))
size = 0
while data := sock.recv(1 << 12):
    size += len(data)
print("read", size, flush=True)
"""


@pytest.fixture
def start(hosts, machine, certificates):
    running = []

    def start(k, program, place, **more):
        folder = ProcessFolder(machine.root.path / "processes" / str(k))
        launch = machine.root.path / "launches" / f"l{k}" / "launch.json"
        words = (sys.executable, "-S", "-c", program, place[0], str(place[1]))
        process = spec(k, *words, **more) | {"relay": hosts.spec(k)}
        process["env"] = dict(os.environ)
        process["cwd"] = str(machine.root.path / "work")
        write_json(launch, {"launch": f"l{k}", "processes": [process]})
        shutil.copytree(certificates, launch.with_name("tls"))
        supervisor = folder.start(launch, machine.root.layer(machine.agent))
        running.append(supervisor)
        folder.started(supervisor)
        return folder

    yield start
    for each in running:
        each.kill()
        each.wait()


def relay_of(folder):
    """Process ID of a supervisor's relay."""
    supervisor = folder.state().supervisor
    for pid in marked(os.environ["HOSTMESH_TEST"]):
        words = Path(f"/proc/{pid}/cmdline").read_bytes()
        parent = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
        if parent == supervisor and b"ctl.remote.relay.program" in words:
            return pid
    return None


def test_what_a_process_has_sent_before_its_end_arrives(hosts, start):
    sink = start(0, SINK, hosts.engines[0])
    client = start(1, CLIENT, hosts.local(1))
    ends(client, "finished")
    ends(sink, "finished")
    assert ("o", "got hello") in log(client)
    assert ("o", f"read {5 << 20}") in log(sink)


def test_a_relay_that_ends_is_started_again(hosts, start):
    server, other = start(0, SERVER, hosts.engines[0]), start(1, SERVER, hosts.engines[1])
    prints(server, "listening")
    eventually(lambda: other.state().pid, "a process")
    with hosts.dial(1) as before:
        before.sendall(b"x")
        assert before.recv(1) == b"x"
        os.kill(relay_of(server), signal.SIGKILL)
        assert is_reset(before)
    prints(server, "hostmesh relay: it ended by signal 9")
    with hosts.dial(1) as after:
        after.sendall(b"y")
        assert after.recv(1) == b"y"
    assert server.state().restarts == 0


def test_a_process_that_is_started_again_keeps_its_relay(hosts, start):
    restart = {"codes": [], "signals": True}
    server, other = (
        start(0, SERVER, hosts.engines[0], restart=restart),
        start(1, SERVER, hosts.engines[1]),
    )
    prints(server, "listening")
    eventually(lambda: other.state().pid, "a process")
    relay = relay_of(server)
    with hosts.dial(1) as before:
        before.sendall(b"x")
        assert before.recv(1) == b"x"
        os.kill(server.state().pid, signal.SIGKILL)
        assert before.recv(1) == b""
    with hosts.dial(1) as after:
        after.sendall(b"y")
        assert after.recv(1) == b"y"
    assert relay_of(server) == relay
    assert server.state().restarts == 1


def test_nothing_is_left_of_a_supervisor_that_is_killed(hosts, start):
    server = start(0, SERVER, hosts.engines[0])
    prints(server, "listening")
    pids = [relay_of(server), server.state().pid]
    assert all(pids)
    server.kill()
    eventually(lambda: all(map(ended, pids)), "the end of all")


def test_it_stops_although_a_peer_holds_on(hosts, start):
    """A connection that nobody ends does not keep what was stopped."""
    server, other = start(0, SERVER, hosts.engines[0]), start(1, SERVER, hosts.engines[1])
    prints(server, "listening")
    eventually(lambda: other.state().pid, "a process")
    with hosts.dial(1) as peer:
        peer.sendall(b"x")
        assert peer.recv(1) == b"x"
        relay = relay_of(server)
        assert server.ask_to_stop(5.0)
        ends(server, "stopped")
        assert ended(relay)


def test_a_process_whose_mesh_cannot_be_relayed_is_not_started(hosts, start):
    with hosts.listen(0):
        hosts.meshes[0] = hosts.engines[0]
        folder = start(0, SERVER, hosts.engines[0])
        state = ends(folder, "failed")
    assert state.exit_code == UNREACHABLE
    host, port = hosts.engines[0]
    assert f"hostmesh relay: cannot listen on {host}:{port}: address already in use" in state.tail
    assert ("o", "listening") not in log(folder)
