"""A root on this machine, and real processes in it that end with the test."""

import contextlib
import json
import os
import signal
import sys
from pathlib import Path

from ctl.layers import agent_layer
from ctl.remote.changes import Change
from ctl.remote.logfile import TIME_LENGTH, read
from ctl.remote.processes import ProcessFolder
from ctl.remote.root import Root, write_json
from tests.engine.running import eventually

MARK = "HOSTMESH_TEST"
"""Variable that tells processes of a test from all others."""

SERVER = """
import json, os, socket, sys
os.chdir(os.path.dirname(sys.argv[1]))
if os.path.exists("health.sock"):
    os.unlink("health.sock")
listener = socket.socket(socket.AF_UNIX)
listener.bind("health.sock")
listener.listen()
print("serving", flush=True)
status = {"ready": sys.argv[2] == "ready", "reason": "waiting for a peer"}
status |= {"items_in": 5, "items_out": 7, "last_error": None}
while True:
    connection = listener.accept()[0]
    connection.recv(4096)
    connection.sendall(b"HTTP/1.0 200 OK\\r\\n\\r\\n" + json.dumps(status).encode())
    connection.close()
"""
"""A process that answers whether it is ready, until it is ended."""


def ended(pid):
    """Whether there is no such process, or only what is left of it for its parent."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return True
    return stat.rpartition(")")[2].split()[0] in "ZX"


def marked(value):
    """Processes that were started with the mark."""
    wanted = f"{MARK}={value}".encode()
    for path in Path("/proc").glob("[0-9]*/environ"):
        with contextlib.suppress(OSError):
            if wanted in path.read_bytes().split(b"\0") and path.parent.name != str(os.getpid()):
                yield int(path.parent.name)


def end_all(value):
    """End them, whatever they are at."""

    def none():
        found = [pid for pid in marked(value) if not ended(pid)]
        for pid in found:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        return not found

    eventually(none, "the end of all processes")


class Machine:
    """A root with the agent's layer in it.

    Args:
        folder: Where it is made.
    """

    def __init__(self, folder):
        self.root = Root(str(folder))
        layer = agent_layer()
        self.agent = layer.digest
        for entry in layer.entries:
            path = self.root.layer(layer.digest) / entry.path
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(b"".join(entry.read()))

    def deployment(self, name="flights"):
        return Change(self.root, name)

    def launch(self, launch, *processes, release="r1", **more):
        """What an operator sends to have processes started."""
        return {
            "launch": launch,
            "release": release,
            "agent": self.agent,
            "manifest": {"release": release},
            "processes": list(processes),
            "checks": [],
            "links": {},
            **more,
        }

    def server(self, number=0, *, ready=True, name="flights"):
        """A process that answers."""
        socket = {"place": ["deployments", name, "processes", number, "health.sock"], "then": ""}
        words = (sys.executable, "-S", "-c", SERVER, socket, "ready" if ready else "not")
        return spec(number, *words, socket=socket)

    def start(self, name, *words, number=0, secrets=None, **more):
        """Have one process supervised; give its folder once the supervisor is there."""
        folder = ProcessFolder(self.root.path / "processes" / str(number))
        launch = self.root.path / "launches" / name / "launch.json"
        process = spec(number, *words, **more)
        process["env"] = {**os.environ, **process["env"]}
        process["cwd"] = process["cwd"] or str(self.root.path / "work")
        write_json(launch, {"launch": name, "processes": [process]})
        if secrets:
            write_json(launch.with_name("secrets.json"), secrets)
        folder.started(folder.start(launch, self.root.layer(self.agent)))
        return folder


def spec(
    number,
    *argv,
    env=None,
    cwd=None,
    restart=None,
    lost_codes=None,
    socket="/nowhere/health.sock",
    stop_signal=signal.SIGTERM,
):
    """A process of a launch."""
    return {
        "id": number,
        "address": f"127.0.0.1:{9000 + number}",
        "workers": 1,
        "listens": ["127.0.0.1", 9000 + number],
        "argv": list(argv),
        "env": dict(env or {}),
        "cwd": cwd,
        "ready": {"kind": "health", "socket": socket},
        "restart": restart,
        "lost_codes": lost_codes,
        "stop_signal": stop_signal.name,
    }


def script(text):
    """A short program of Python."""
    return sys.executable, "-S", "-c", text


def shell(text):
    """A short program of a shell."""
    return "/bin/sh", "-c", text


def log(folder):
    """All of a process's log as (stream, text)."""
    lines = b"".join(data for data, _ in read(folder.log, (0, 0))).splitlines()
    return [(line[TIME_LENGTH + 1 : TIME_LENGTH + 2].decode(), text(line)) for line in lines]


def text(line):
    return line[TIME_LENGTH + 3 :].decode("utf-8", "surrogateescape")


def prints(folder, wanted):
    """Wait for a line."""
    eventually(lambda: wanted in [each for _, each in log(folder)], f"{wanted!r} in {log(folder)}")


def ends(folder, state):
    """Wait for the end of a process and its supervisor; give what is known of it."""
    eventually(lambda: not folder.supervised, "the end of a supervisor")
    assert folder.state().state == state, (folder.state(), log(folder))
    return folder.state()


def loads(path):
    return json.loads(path.read_text())
