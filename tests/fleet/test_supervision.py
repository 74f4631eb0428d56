"""Processes and what watches over them, once the operator has gone."""

import json
import time
from collections.abc import Callable
from typing import Any

import pytest

from tests.engine.running import eventually
from tests.fleet.fleets import Fleet
from tests.fleet.flows import FINITE, ticking
from tests.fleet.hosts import FleetHost, Process
from tests.fleet.scripts import SCRIPT, deploy, processes, scripting, states, status

IN_TIME_S = 2.0
# A child that user code has started, in the process group of the engine.
WITH_A_CHILD = ticking("one").replace(
    "        return Ticks()",
    """\
        import subprocess

        subprocess.Popen(["sleep", "12345"])
        return Ticks()""",
)
COUNTING = """
import itertools
import subprocess
import time

subprocess.Popen(["sleep", "12345"])
for number in itertools.count():
    print(number)
    time.sleep(0.05)
"""
ENDS = [0, 64, 65, 66, 69, 70, 74, 75, 76, 77, 78, -9, -15]
STARTED_AGAIN = {69, 70, 74, 75, -9, -15}
LIMIT = 3
"""Starts again within ten minutes."""
ENDING = f"""
import os
import time

while not os.path.exists("go"):
    time.sleep(0.02)
end = {ENDS}[int(os.environ["PROCESS"])]
if end < 0:
    os.kill(os.getpid(), -end)
os._exit(end)
"""


def ours(host: FleetHost) -> list[Process]:
    """What is left of a deployment; the names in an argument of the tests' own tell it."""
    words = (".hostmesh", "engine.run", "12345")
    return [each for each in host.processes() if any(word in " ".join(each.argv) for word in words)]


def with_word(host: FleetHost, word: str) -> list[int]:
    return [each.pid for each in host.processes() if word in " ".join(each.argv)]


def supervisors(host: FleetHost) -> list[int]:
    """Those that are no guards: a guard is the child of the supervisor whose words it has."""
    found = [each for each in host.processes() if "remote.supervisor" in " ".join(each.argv)]
    pids = {each.pid for each in found}
    return [each.pid for each in found if each.parent not in pids]


def told_in_time(since: float, look: Callable[[], Any], is_true: Callable[[Any], bool]) -> None:
    """Look again and again; one that was begun in time has to tell the truth."""
    while True:
        begun = time.monotonic() - since
        told = look()
        if is_true(told):
            return
        assert begun < IN_TIME_S, f"{told} is not true, {begun:.1f} s after it has happened"


def test_processes_outlive_ssh(fleet: Fleet) -> None:
    hosts = fleet(2)
    site = fleet.site()
    site.inventory(hosts)
    site.write("flow.py", ticking("one"))
    deploy(site)
    before = [each["pid"] for each in processes(site)]
    follow = site.ctl_start("logs", "-f")
    follow.prints("tick")
    for host in hosts:
        host.restart_sshd()
    follow.prints("connected again")
    after = processes(site)
    assert [each["pid"] for each in after] == before
    assert [each["state"] for each in after] == ["running"] * 2
    lines = len(follow.out.splitlines())
    eventually(lambda: len(follow.out.splitlines()) > lines + 20, "new lines come")
    assert [len(supervisors(host)) for host in hosts] == [1, 1]


@pytest.mark.parametrize("victim", ["process", "supervisor", "both"])
def test_what_is_killed_is_told_and_leaves_nothing(fleet: Fleet, victim: str) -> None:
    (host,) = fleet(1)
    site = fleet.site()
    site.inventory([host])
    site.write("flow.py", WITH_A_CHILD)
    deploy(site)
    (process,) = processes(site)
    eventually(lambda: with_word(host, "12345"), "user code has started its child")
    (supervisor,) = supervisors(host)
    for pid in {
        "process": [process["pid"]],
        "supervisor": [supervisor],
        "both": [supervisor, process["pid"]],
    }[victim]:
        # The death of one may have brought that of the other.
        host.attempt("kill", "-9", str(pid))
    told_in_time(
        time.monotonic(),
        lambda: processes(site)[0],
        # The engine has no recovery store yet, so it is not started again.
        lambda told: (told["state"], told["exit_code"], told["pid"]) == ("failed", -9, None),
    )
    eventually(lambda: not ours(host), "nothing is left")
    ended = site.ctl("status")
    assert ended.returncode == 74
    assert "failed" in ended.stdout


def test_what_may_be_started_again_is(fleet: Fleet) -> None:
    (host,) = fleet(1)
    site = scripting(fleet.site())
    site.inventory([host], deployment=SCRIPT)
    site.write("flow.py", COUNTING)
    deploy(site)
    (before,) = processes(site)
    (child,) = with_word(host, "12345")
    host.run("kill", "-9", str(before["pid"]))
    told_in_time(
        time.monotonic(),
        lambda: processes(site)[0],
        lambda told: told["pid"] != before["pid"],
    )
    eventually(lambda: states(site) == ["running"], "it has been started again")
    (after,) = processes(site)
    assert after["restarts"] == 1
    eventually(lambda: len(with_word(host, "12345")) == 1, "the first child is gone")
    assert with_word(host, "12345") != [child]

    # Nobody starts a supervisor again: that it is gone is told, and no process goes on alone.
    (supervisor,) = supervisors(host)
    host.run("kill", "-9", str(supervisor))
    told_in_time(
        time.monotonic(), lambda: processes(site)[0], lambda told: told["state"] == "failed"
    )
    eventually(lambda: not ours(host), "nothing is left")


def test_the_way_it_ends_decides(loopback_fleet: Fleet) -> None:
    (host,) = loopback_fleet(1)
    site = scripting(loopback_fleet.site())
    site.inventory([host], processes=len(ENDS), deployment=SCRIPT)
    site.write("flow.py", ENDING)
    deploy(site)
    host.write(".hostmesh/deployments/flights/work/go", "")

    def ended() -> bool:
        return set(states(site)) == {"finished", "failed"}

    eventually(ended, "all have ended for good")
    told = processes(site)
    assert [each["exit_code"] for each in told] == ENDS
    assert [each["state"] for each in told] == ["finished"] + ["failed"] * (len(ENDS) - 1)
    assert [each["restarts"] for each in told] == [LIMIT * (end in STARTED_AGAIN) for end in ENDS]
    assert not ours(host)


def test_a_check_of_the_flow_leaves_nothing(loopback_fleet: Fleet) -> None:
    """User code may start something as soon as it is imported, and it is for a check, too."""
    (host,) = loopback_fleet(1)
    site = loopback_fleet.site()
    site.inventory([host])
    site.write("flow.py", 'import subprocess\n\nsubprocess.Popen(["sleep", "12345"])\n' + FINITE)
    deploy(site)
    eventually(lambda: not ours(host), "nothing is left")


def test_a_host_that_was_off_starts_nothing_and_a_deploy_mends_it(docker_fleet: Fleet) -> None:
    hosts = alpha, _ = docker_fleet(2)
    site = docker_fleet.site()
    site.inventory(hosts)
    site.write("flow.py", ticking("one"))
    deploy(site)
    alpha.kill()
    off = site.ctl("status", "--json", "--connect-timeout", "2")
    assert off.returncode == 69
    told = json.loads(off.stdout)
    assert told["state"] == "degraded"
    assert [each["reachable"] for each in told["hosts"]] == [False, True]
    assert told["processes"][0]["state"] == "unknown"
    alpha.start()
    on = status(site)
    assert [each["reachable"] for each in on["hosts"]] == [True, True]
    first = on["processes"][0]
    assert (first["state"], first["pid"], first["uptime_s"]) == ("failed", None, None)
    assert not ours(alpha)
    assert on["state"] in ("failed", "degraded")
    deploy(site)
    assert states(site) == ["running"] * 2


def test_a_runtime_that_is_not_installed_is_named(loopback_fleet: Fleet) -> None:
    site = loopback_fleet.site()
    site.inventory(loopback_fleet(1), deployment=SCRIPT)
    site.write("flow.py", FINITE)
    refused = site.ctl("deploy", "inventory.toml", "flow.py")
    assert refused.returncode == 78
    assert '"script"' in refused.stderr or "'script'" in refused.stderr
