"""`ctl logs` on hosts: complete, in the order of time, and undisturbed by what befalls networks."""

import re
from collections import Counter
from datetime import UTC, datetime
from itertools import pairwise

from tests.engine.running import Running, eventually
from tests.fleet.fleets import Fleet
from tests.fleet.hosts import FleetHost
from tests.fleet.proxy import Proxy
from tests.fleet.scripts import SCRIPT, deploy, lines, scripting
from tests.fleet.site import Site
from tests.fleet.sshd import known_hosts_line

COUNTING = """
import itertools
import time

for number in itertools.count():
    print("number", number)
    time.sleep(0.01)
"""
# Two pipes lead to the supervisor, so what it reads at once has an order in each of them alone.
COUNTING_ON_BOTH = COUNTING.replace(
    "number)", "number, file=(sys.stdout, sys.stderr)[number % 2])"
).replace("import itertools", "import itertools\nimport sys")
# 18 MiB are more than a segment of a log.
MUCH = """
import os
import time

print("begun")
while not os.path.exists("go"):
    time.sleep(0.02)
for number in range(400):
    print("number", number, "x" * 47_000)
time.sleep(3600)
"""
ODD = r"""
import os
import time

os.write(1, b"bytes \xff\xfe\xc3( end\n")
os.write(1, "words é☃\U0001f339\n".encode())
os.write(1, b"colour \x1b[31mred\x1b[0m \x1b]0;title\x07 \x00 \x7f \x9b done\n")
os.write(1, "splits \x85 \u2028 \x0b \x0c \x1c one\n".encode())
os.write(1, b"carriage\rreturn\r\n")
os.write(1, b"time 2026-01-01T00:00:00.000000Z o no line of its own\n")
os.write(1, b"\n")
os.write(1, b"no end")
"""
WORK = ".hostmesh/deployments/flights/work"


def counting(fleet: Fleet, count: int, script: str = COUNTING) -> tuple[Site, list[FleetHost]]:
    hosts = fleet(count)
    site = scripting(fleet.site())
    site.inventory(hosts, deployment=SCRIPT)
    site.write("flow.py", script)
    deploy(site)
    return site, hosts


def numbers(text: str) -> dict[str, list[int]]:
    """The numbers that each process has printed, by its id, in the order in which they came."""
    found: dict[str, list[int]] = {}
    for process, number in re.findall(r"^ *(\d+) \w+ +\| number (\d+)", text, re.MULTILINE):
        found.setdefault(process, []).append(int(number))
    return found


def goes_on(follow: Running, processes: int, more: int = 30) -> None:
    """Wait until each process has brought new lines, and see that none is missing so far."""
    before = numbers(follow.out)

    def further() -> bool:
        now = numbers(follow.out)
        return len(now) == processes and all(
            len(now[each]) >= len(before.get(each, ())) + more for each in now
        )

    eventually(further, f"new lines of {processes} processes after {follow.err}")
    for found in numbers(follow.out).values():
        assert found == list(range(found[0], found[0] + len(found)))


def test_lines_of_all_hosts_in_the_order_of_time(fleet: Fleet) -> None:
    site, _ = counting(fleet, 3, COUNTING_ON_BOTH)
    eventually(lambda: len(lines(site, "-n", "50")) == 150, "50 lines of each")
    # Lines that come meanwhile must not disturb.
    assert site.ctl("stop").returncode == 0
    found = lines(site, "-n", "10000")
    assert [line["time"] for line in found] == sorted(line["time"] for line in found)
    for process, host in enumerate(("alpha", "beta", "gamma")):
        own = [line for line in found if line["process"] == process]
        assert {line["host"] for line in own} == {host}
        for stream, first in (("out", 0), ("err", 1)):
            texts = [line["text"] for line in own if line["stream"] == stream]
            assert texts == [f"number {first + 2 * each}" for each in range(len(texts))]
    changes = sum(one["host"] != two["host"] for one, two in pairwise(found))
    assert changes > len(found) / 10, "the hosts are merged, not one after the other"

    # What can be chosen.
    assert Counter(line["process"] for line in lines(site)) == {0: 100, 1: 100, 2: 100}
    assert Counter(line["host"] for line in lines(site, "-n", 7)) == dict.fromkeys(
        ("alpha", "beta", "gamma"), 7
    )
    assert {line["host"] for line in lines(site, "--host", "beta")} == {"beta"}
    two = lines(site, "--process", 0, "--process", 2, "-n", 3)
    assert [line["process"] for line in two].count(0) == 3
    assert {line["process"] for line in two} == {0, 2}
    assert (
        lines(site, "-n", 3, "--process", 1)
        == [line for line in found if line["process"] == 1][-3:]
    )
    middle = found[len(found) // 2]["time"]
    since = [line for line in found if line["time"] >= middle]
    assert lines(site, "--since", middle) == since
    assert (
        lines(site, "--since", middle, "-n", 2, "--process", 0)
        == [line for line in since if line["process"] == 0][-2:]
    )
    assert lines(site, "--since", "1h") == found
    assert lines(site, "--since", f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}") == []
    shown = site.ctl("logs", "-n", 1).stdout
    assert re.fullmatch(r"(?:\d (?:alpha|beta|gamma) +\| number \d+\n){3}", shown)
    unknown = site.ctl("logs", "--host", "delta")
    assert unknown.returncode != 0
    assert "delta" in unknown.stderr


def test_following_survives_lost_connections(fleet: Fleet) -> None:
    """Lost by sshd on one host, by the network on the other; then held up for a while."""
    hosts = alpha, beta = fleet(2)
    site = scripting(fleet.site())
    with Proxy((beta.address, beta.port)) as proxy:
        host, port = proxy.address
        line = known_hosts_line(host, port, beta.key)
        site.inventory(hosts, deployment=SCRIPT, keys={"beta": {"ssh": host, "ssh_port": port}})
        site.known_hosts.write_text(site.known_hosts.read_text() + line)
        site.write("flow.py", COUNTING)
        deploy(site)
        follow = site.ctl_start("logs", "-f")
        goes_on(follow, 2)
        for times in (1, 2):
            alpha.restart_sshd()
            proxy.reset()
            for name in ("alpha", "beta"):
                again = f"{name}: connected again"
                eventually(lambda: follow.err.count(again) >= times, again)  # noqa: B023
            goes_on(follow, 2)
        proxy.cut()
        alone = len(numbers(follow.out)["0"])
        eventually(lambda: len(numbers(follow.out)["0"]) > alone + 50, "the other host goes on")
        proxy.mend()
        goes_on(follow, 2)
    assert not follow.ended


def test_following_survives_a_host_that_was_off(docker_fleet: Fleet) -> None:
    site, (alpha, _) = counting(docker_fleet, 2)
    follow = site.ctl_start("logs", "-f")
    goes_on(follow, 2)
    alpha.kill()
    follow.prints("alpha: connection lost")
    beta_alone = len(numbers(follow.out)["1"])
    eventually(lambda: len(numbers(follow.out)["1"]) > beta_alone + 50, "the other host goes on")
    alpha.start()
    follow.prints("connected again")
    before = len(numbers(follow.out)["0"])
    deploy(site)
    # The last lines of the first start may come only now.
    eventually(lambda: 0 in numbers(follow.out)["0"][before:], "lines of the new start")
    found = numbers(follow.out)["0"]
    again = found.index(0, before)
    assert found[:again] == list(range(found[0], found[0] + again))
    assert found[again:] == list(range(len(found) - again))


def test_rotation_while_following(loopback_fleet: Fleet) -> None:
    site, (host,) = counting(loopback_fleet, 1, MUCH)
    follow = site.ctl_start("logs", "-f")
    follow.prints("begun")
    host.write(f"{WORK}/go", "")
    follow.prints("number 399 ", 60)
    segments = host.run("ls", ".hostmesh/deployments/flights/processes/0/log").split()
    assert len(segments) == 2
    assert numbers(follow.out) == {"0": list(range(400))}
    assert [line["text"].split()[1] for line in lines(site, "-n", 100)] == [
        str(number) for number in range(300, 400)
    ]
    assert len(lines(site, "--since", "1h")) == 401


def test_text_that_is_none(loopback_fleet: Fleet) -> None:
    site, _ = counting(loopback_fleet, 1, ODD)
    eventually(lambda: len(lines(site)) == 8, "the script has ended")
    texts = [line["text"] for line in lines(site)]
    assert texts == [
        "bytes \ufffd\ufffd\ufffd( end",
        "words é☃🌹",
        "colour \x1b[31mred\x1b[0m \x1b]0;title\x07 \0 \x7f \ufffd done",
        "splits \x85 \u2028 \x0b \x0c \x1c one",
        "carriage\rreturn",
        "time 2026-01-01T00:00:00.000000Z o no line of its own",
        "",
        "no end",
    ]
    # Piped on, a line stays what it is; what a terminal is shown, `tests/ctl/ui` tells.
    shown = site.ctl("logs", "-n", 1)
    assert shown.stdout == "0 alpha | no end\n"
