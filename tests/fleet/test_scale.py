"""Many processes, and many hosts."""

import re

from tests.fleet.fleets import Fleet
from tests.fleet.flows import ticking
from tests.fleet.scripts import SCRIPT, deploy, processes, scripting, states, status

SLEEPING = "import time\nprint('begun')\ntime.sleep(3600)\n"
SECONDS = 240.0
MANY = 64
AT_ONCE = 10


def test_32_processes_on_8_hosts(loopback_fleet: Fleet) -> None:
    hosts = loopback_fleet(8)
    site = loopback_fleet.site()
    site.inventory(hosts, processes=4)
    site.write("flow.py", ticking("one"))
    deploy(site, timeout=SECONDS)
    told = processes(site)
    assert [each["state"] for each in told] == ["running"] * 32
    assert [each["id"] for each in told] == list(range(32))
    assert [each["host"] for each in told] == [host.name for host in hosts for _ in range(4)]
    stopped = site.ctl("stop", timeout=SECONDS)
    assert stopped.returncode == 0, stopped.stderr
    assert states(site) == ["stopped"] * 32


def test_64_hosts(loopback_fleet: Fleet) -> None:
    hosts = loopback_fleet(MANY)
    site = scripting(loopback_fleet.site())
    site.inventory(hosts, deployment=SCRIPT)
    site.write("flow.py", SLEEPING)
    checked = site.ctl("check", "inventory.toml", timeout=SECONDS)
    assert checked.returncode == 0, checked.stderr
    rows = checked.stdout.splitlines()
    assert all(sum(row.startswith(f"{host.name} ") for row in rows) == 1 for host in hosts)
    deploy(site, timeout=SECONDS)
    told = status(site)
    assert told["state"] == "running"
    assert [host["name"] for host in told["hosts"]] == [host.name for host in hosts]
    assert [each["state"] for each in told["processes"]] == ["running"] * MANY


def test_one_sshd_for_many_is_not_overrun(loopback_fleet: Fleet) -> None:
    """Many names for one machine, as behind a bastion: it drops nothing if it is not overrun."""
    (host,) = loopback_fleet(1, options=[f"MaxStartups {AT_ONCE}:100:{AT_ONCE}"])
    site = scripting(loopback_fleet.site())
    site.trust([host])
    tables = [
        f'[[hosts]]\nname = "host{number}"\nssh = "{host.address}"\naddress = "{host.address}"\n'
        f'python = "{host.python}"\nmesh_port = {9000 + number}\nroot = "~/root {number}"\n'
        for number in range(MANY // 2)
    ]
    site.write(
        "inventory.toml",
        "\n".join(['[deployment]\nname = "flights"\nruntime = "script"\n', *tables]),
    )
    told = status(site)
    assert [each["reachable"] for each in told["hosts"]] == [True] * (MANY // 2)
    assert not re.findall("MaxStartups|drop connection", host.logs())
