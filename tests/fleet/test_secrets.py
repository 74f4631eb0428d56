"""Values of secrets stay where they belong, and the mesh is closed to others."""

import json
import re
from pathlib import Path

from tests.engine.running import eventually
from tests.fleet.fleets import Fleet
from tests.fleet.flows import ticking
from tests.fleet.hosts import FleetHost
from tests.fleet.scripts import SCRIPT, deploy, lines, processes, scripting
from tests.fleet.site import Site

OF_ENV = "canary-of-a-variable-4711"
OF_FILE = "canary-of-a-file-0815 with 'quotes' \"and\" $(more)\nand a second line of it"
PLACED = "canary-in-the-flow-1234"
VALUES = (OF_ENV, *OF_FILE.split("\n"))
SECRETS = {"OF_ENV": {"env": "MINE"}, "OF_FILE": {"file": "secret.txt"}}
FLOW = (
    ticking("one")
    + f"""
# {PLACED}
import os, sys

print("the variable", os.environ["OF_ENV"], "and", len(os.environ["OF_FILE"]), file=sys.stderr)
print("the file", os.environ["OF_FILE"], file=sys.stderr)
"""
)
RAISING = ticking("two").replace(
    "        self.count += 1",
    """\\
        import os

        self.count += 1
        if os.path.exists("go"):
            raise LookupError("told: " + os.environ["OF_ENV"] + os.environ["OF_FILE"])""",
)
ODD = """canary "violet", it's \\magenta & größer\nturquoise vermilion, ochre ☃"""
WORDS = re.findall("[a-z]{4,}", ODD)
QUOTING = """
import json, os, time
from urllib.parse import quote, quote_plus

value = os.environ["ODD"]
print("as it is", value)
print("for Python", repr(value))
print("for JSON", json.dumps({"key": value}, ensure_ascii=False))
print("for JSON in ASCII", json.dumps({"key": value}))
print("for a path", quote(value))
print("for a part of a URL", quote(value, safe=""))
print("for a query", quote_plus(value))
while not os.path.exists("go"):
    time.sleep(0.02)
raise KeyError(value)
"""
WORK = ".hostmesh/deployments/flights/work"
# What tells of processes to whoever may look, each as its process id and a text.
SEEN = """
import json, os, pathlib
found = []
for folder in pathlib.Path("/proc").glob("[0-9]*"):
    if folder.name != str(os.getpid()):
        for name in ("cmdline", "environ"):
            try:
                found.append([int(folder.name), (folder / name).read_text(errors="replace")])
            except OSError:
                pass
print(json.dumps(found))
"""


def with_secrets(fleet: Fleet, flow: str) -> tuple[Site, list[FleetHost]]:
    hosts = fleet(2)
    site = fleet.site()
    site.inventory(hosts, deployment={"secrets": SECRETS})
    site.env["MINE"] = OF_ENV
    site.write("secret.txt", OF_FILE + "\n").chmod(0o600)
    site.write("flow.py", flow)
    return site, hosts


def holds_none(text: str) -> bool:
    return not any(value in text for value in (*VALUES, PLACED))


def shows_none(host: FleetHost, *, but: list[int]) -> None:
    """Look at a host as others may: at processes, and at files that are not the owner's alone."""
    seen = json.loads(host.run("python3", "-c", SEEN))
    assert set(but) < {pid for pid, _ in seen}
    for pid, text in seen:
        assert pid in but or holds_none(text), text
    opened = host.run(
        *("find", "/home/deploy", "/tmp", "/var/tmp", "/dev/shm", "/var/log"),
        *("-xdev", "-type", "f", "-perm", "/077", "-readable", "-size", "-1000k"),
        *("-exec", "cat", "{}", "+"),
    )
    assert holds_none(opened)
    beyond = host.run("find", ".hostmesh", "!", "-type", "l", "-perm", "/077")
    assert not beyond, "nothing below the root is for others"
    holding = host.attempt("grep", "-rlF", "-e", VALUES[0], "-e", VALUES[1], ".hostmesh").stdout
    assert {Path(each).name for each in holding.splitlines()} <= {"secrets.json"}


def test_secrets_are_seen_by_the_flow_alone(docker_fleet: Fleet) -> None:
    site, hosts = with_secrets(docker_fleet, FLOW)
    deployed = site.ctl("deploy", "inventory.toml", "flow.py", "--json")
    assert deployed.returncode == 0, deployed.stderr
    status = site.ctl("status", "--json")
    for host, process in zip(hosts, json.loads(status.stdout)["processes"], strict=True):
        environ = host.run("cat", f"/proc/{process['pid']}/environ")
        assert f"OF_ENV={OF_ENV}\0" in environ
        assert f"OF_FILE={OF_FILE}\0" in environ
        shows_none(host, but=[process["pid"]])
    logs = site.ctl("logs", "-n", "1000"), site.ctl("logs", "-n", "1000", "--json")
    for ran in (deployed, status, *logs, site.ctl("check", "inventory.toml")):
        assert holds_none(ran.stdout + ran.stderr)
    for ran in logs:
        assert "the variable [secret OF_ENV]" in ran.stdout
        assert f"and {len(OF_FILE)}" in ran.stdout
        assert ran.stdout.count("[secret OF_FILE]") >= 2

    # The mesh of two machines is encrypted: who speaks no TLS is told nothing.
    for host in hosts:
        (engine,) = [each.argv for each in host.processes() if "engine.run" in each.argv]
        assert "--tls-cert" in engine
        assert "--insecure" not in engine
    alpha, beta = hosts
    assert heard(alpha, beta) == ""

    # On request it is not, which is said each time.
    for _ in range(2):
        deployed = site.ctl("deploy", "inventory.toml", "flow.py", "--insecure")
        assert deployed.returncode == 0, deployed.stderr
        assert "--insecure" in deployed.stderr
        warned = site.ctl("logs", "-n", "1000").stdout
        assert "--insecure" in warned
    (engine,) = [each.argv for each in alpha.processes() if "engine.run" in each.argv]
    assert "--insecure" in engine
    assert "--tls-cert" not in engine


def heard(here: FleetHost, there: FleetHost) -> str:
    """What a process says of itself to who connects and speaks as a peer without TLS would."""
    script = """
import socket, sys

with socket.create_connection((sys.argv[1], 9000), 5) as connection:
    connection.settimeout(1)
    connection.sendall(b"HOSTMESH\\x01" + bytes(64))
    told = b""
    try:
        while more := connection.recv(4096):
            told += more
    except OSError:
        pass
# An alert of TLS has 7 bytes, and a hello many more.
print(told.decode("latin-1") if len(told) > 7 else "", end="")
"""
    return here.run("python3", "-c", script, there.address)


def test_tracebacks_do_not_show_secrets(docker_fleet: Fleet) -> None:
    site, hosts = with_secrets(docker_fleet, RAISING)
    site.write("wrong.py", FLOW + '\nraise LookupError("told: " + os.environ["OF_FILE"])\n')
    refused = site.ctl("deploy", "inventory.toml", "wrong.py", "--json")
    assert refused.returncode == 65, refused.stderr
    assert "LookupError: told: " in refused.stderr
    assert holds_none(refused.stdout + refused.stderr)

    follow = site.ctl_start("deploy", "inventory.toml", "flow.py", "--follow")
    follow.prints("tick 3 two")
    for host in hosts:
        host.write(f"{WORK}/go", "", 0o600)
    assert follow.code() == 70
    assert "LookupError: told: " in follow.out + follow.err
    assert holds_none(follow.out + follow.err)

    def ended() -> bool:
        return '"running"' not in site.ctl("status", "--json").stdout

    eventually(ended, "both have ended")
    for words in (("status", "--json"), ("status",), ("logs", "-n", "1000"), ("logs", "--json")):
        told = site.ctl(*words)
        assert holds_none(told.stdout + told.stderr)
    assert "LookupError: told: " in site.ctl("status", "--json").stdout
    for host in hosts:
        shows_none(host, but=[])


def test_secrets_that_are_quoted_are_not_shown_either(loopback_fleet: Fleet) -> None:
    (host,) = loopback_fleet(1)
    site = scripting(loopback_fleet.site())
    site.inventory([host], deployment={**SCRIPT, "secrets": {"ODD": {"env": "ODD"}}})
    site.env["ODD"] = ODD
    site.write("flow.py", QUOTING)
    deploy(site)
    host.write(f"{WORK}/go", "")
    eventually(lambda: processes(site)[0]["state"] == "failed", "it has ended")

    # Another operator, whose inventory knows no value that could be masked here.
    other = scripting(loopback_fleet.site())
    other.inventory([host], deployment=SCRIPT)
    said = [line["text"] for line in lines(other)]
    told = processes(other)[0]["last_error"]
    masked = [text for text in said if text.startswith(("as it is", "for ", "KeyError"))]
    assert len(masked) == 8
    for text in (*masked, told):
        assert "[secret ODD]" in text
    for text in (*said, told):
        assert not [word for word in WORDS if word in text], text
    words = [option for word in WORDS for option in ("-e", word)]
    holding = host.attempt("grep", "-rlF", *words, ".hostmesh/deployments").stdout.splitlines()
    assert {Path(each).name for each in holding} == {"secrets.json"}
