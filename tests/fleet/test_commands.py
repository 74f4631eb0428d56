"""Programs that know nothing of us, on real hosts."""

from collections.abc import Mapping, Sequence

import pytest

from tests.engine.running import eventually
from tests.fleet.fleets import Fleet
from tests.fleet.hosts import FleetHost
from tests.fleet.scripts import lines, processes
from tests.fleet.site import Site

STAR = '''
"""Sums numbers of all processes through the first, which is found as torchrun has it."""
import os
import socket
import time

RANK, WORLD_SIZE = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
MASTER = os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"])


def found():
    until = time.monotonic() + 60
    while True:
        try:
            return socket.create_connection(MASTER)
        except OSError:
            assert time.monotonic() < until, "no master"
            time.sleep(0.05)


print(f"local rank {os.environ['LOCAL_RANK']} of {os.environ['LOCAL_WORLD_SIZE']}", flush=True)
if RANK == 0:
    listener = socket.create_server(MASTER)
    others = [listener.accept()[0] for _ in range(WORLD_SIZE - 1)]
    total = 1 + sum(int(each.makefile("rb").readline()) for each in others)
    for each in others:
        each.sendall(f"{total}\\n".encode())
        assert each.recv(1) == b""
else:
    with found() as master:
        master.sendall(f"{10**RANK}\\n".encode())
        total = int(master.makefile("rb").readline())
print(f"the sum is {total}", flush=True)
'''


def site_of(
    fleet: Fleet,
    hosts: Sequence[FleetHost],
    program: str,
    processes: int | Mapping[str, int] = 1,
    **options: object,
) -> Site:
    """The operator of a program."""
    site = fleet.site()
    command = {"runtime": "command", "command": ["python", "flow.py"]}
    site.inventory(hosts, processes=processes, deployment={**command, **options})
    site.write("flow.py", program)
    return site


def texts(site: Site, process: int) -> list[str]:
    """What a process has printed; its relay may say that others are not there yet."""
    found = [line["text"] for line in lines(site, "--process", process)]
    return [text for text in found if not text.startswith("hostmesh relay: ")]


@pytest.mark.parametrize("mesh", ["direct", "relay"])
def test_a_reduction_by_the_variables_of_torchrun(fleet: Fleet, mesh: str) -> None:
    ready = {"log": "^local rank"}
    site = site_of(fleet, fleet(3), STAR, {"beta": 2}, mesh=mesh, ready=ready)
    deployed = site.ctl("deploy", "inventory.toml", "flow.py", "--follow")
    assert deployed.returncode == 0, deployed.stderr
    assert [texts(site, process) for process in range(4)] == [
        [f"local rank {local}", "the sum is 1111"]
        for local in ("0 of 1", "0 of 2", "1 of 2", "0 of 1")
    ]


# It says no, and that it was asked, until it is fine.
ANSWERS = """
import os
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from socketserver import TCPServer


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        Path.home().joinpath("asked").touch()
        is_fine = self.path == "/healthz" and Path.home().joinpath("fine").exists()
        self.send_response(204 if is_fine else 503)
        self.end_headers()

    def log_message(self, text, *words):
        print(text % words, flush=True)


place = os.environ["HOSTMESH_HOST"], int(os.environ["HOSTMESH_PORT"])
# Else nobody can listen there for a minute after it, and the next deploy is refused.
TCPServer.allow_reuse_address = True
TCPServer(place, Handler).serve_forever()
"""


def test_a_program_is_ready_when_its_page_says_so(fleet: Fleet) -> None:
    hosts = fleet(2)
    site = site_of(fleet, hosts, ANSWERS, ready={"http": "/healthz"})
    deploy = site.ctl_start("deploy", "inventory.toml", "flow.py")

    def were_asked() -> bool:
        assert not deploy.ended, deploy.err
        return all(host.attempt("ls", "asked").returncode == 0 for host in hosts)

    eventually(were_asked, "a question to both")
    for host in hosts:
        host.write("fine", "")
    assert deploy.code() == 0, deploy.err
    assert [each["state"] for each in processes(site)] == ["running"] * 2
    for process in range(2):
        answers = [text.split()[3] for text in texts(site, process)]
        assert answers.index("503") < answers.index("204")


WAITS = """
import signal

print("waiting", flush=True)
signal.pause()
"""


@pytest.mark.parametrize("restart", ["on-failure", "never"])
def test_a_program_that_is_killed(fleet: Fleet, restart: str) -> None:
    [host] = fleet(1)
    site = site_of(fleet, [host], WAITS, restart=restart, ready={"log": "^waiting$"})
    deployed = site.ctl("deploy", "inventory.toml", "flow.py")
    assert deployed.returncode == 0, deployed.stderr
    [before] = processes(site)
    host.run("kill", "-9", str(before["pid"]))
    if restart == "never":
        eventually(lambda: processes(site)[0]["state"] == "failed", "its end")
        [after] = processes(site)
        assert (after["restarts"], after["pid"], after["exit_code"]) == (0, None, -9)
        assert texts(site, 0) == ["waiting"]
        return
    eventually(lambda: texts(site, 0) == ["waiting"] * 2, "a second start")
    [after] = processes(site)
    assert (after["restarts"], after["state"]) == (1, "running")
    assert after["pid"] != before["pid"]
