"""What is refused before a host is changed: keys, logins, networks, inventories and flows."""

import json
import re
from typing import Any

import pytest

from tests.fleet.fleets import Fleet
from tests.fleet.flows import ticking
from tests.fleet.refusing import kept, refused, unlocked, untouched
from tests.fleet.site import Site

DEPLOY = ("deploy", "inventory.toml", "flow.py")
INVENTORY = """\
[deployment]
name = "flights"

[[hosts]]
name = "alpha"
address = "192.0.2.1"

[[hosts]]
name = "beta"
address = "192.0.2.2"
"""


@pytest.fixture
def site(loopback_fleet: Fleet) -> Site:
    made = loopback_fleet.site()
    made.write("flow.py", ticking("one"))
    return made


def status_of(site: Site) -> Any:
    return json.loads(site.ctl("status", "--json").stdout)


# Host keys.


def test_an_unknown_host_key_is_refused_until_it_is_trusted(
    loopback_fleet: Fleet, site: Site
) -> None:
    hosts = loopback_fleet(2)
    site.inventory(hosts)
    site.forget_host_keys()
    unknown = {
        host.name: rf"the host key of {host.address} port {host.port} is not known: "
        rf"ssh-ed25519 {re.escape(host.key.fingerprint)} is not in "
        for host in hosts
    }
    for command in (DEPLOY, ("check", "inventory.toml")):
        report = refused(site.ctl(*command), 77, **unknown)
        assert "fix: compare the fingerprint, and accept it with `ctl trust inventory.toml`" in (
            report
        )
    untouched(hosts)
    asked = site.ctl("trust", "inventory.toml")
    assert asked.returncode == 64
    assert "ctl trust inventory.toml --yes" in asked.stderr
    assert site.known_hosts.read_text() == ""
    trusted = site.ctl("trust", "inventory.toml", "--yes")
    assert trusted.returncode == 0, trusted.stderr
    assert all(host.key.fingerprint in trusted.stdout for host in hosts)
    deployed = site.ctl(*DEPLOY)
    assert deployed.returncode == 0, deployed.stderr


def test_a_changed_host_key_is_always_refused(loopback_fleet: Fleet, site: Site) -> None:
    alpha, beta = hosts = loopback_fleet(2)
    site.inventory(hosts)
    known = site.known_hosts.read_text().replace(beta.key.public, alpha.key.public)
    site.known_hosts.write_text(known)
    for words in (DEPLOY, (*DEPLOY, "--accept-new-host-keys"), ("trust", "--yes")):
        ran = site.ctl(*words)
        assert ran.returncode == 77, ran.stderr
        _, _, report = ran.stderr.partition("error: ")
        changed = rf"^  (beta|{beta.address})  the host key of .* has changed: it is ssh-ed25519 "
        changed += rf"{re.escape(beta.key.fingerprint)}, but .*/known_hosts:2 has ssh-ed25519 "
        changed += re.escape(alpha.key.fingerprint)
        assert re.search(changed, report, re.MULTILINE), report
        assert "fix: only if the host was set up anew: ssh-keygen -R" in report
        assert site.known_hosts.read_text() == known
    untouched(hosts)


# Hosts that are not there.


def test_each_host_that_is_not_there_is_named(docker_fleet: Fleet) -> None:
    _, beta, gamma, delta = hosts = docker_fleet(4)
    site = docker_fleet.site()
    site.write("flow.py", ticking("one"))
    site.inventory(hosts, keys={"gamma": {"user": "stranger"}, "delta": {"ssh_port": 2222}})
    site.known_hosts.write_text(
        site.known_hosts.read_text() + f"[{delta.address}]:2222 {delta.key.public}\n"
    )
    beta.drop(from_=docker_fleet.operator)
    wrong = {
        "beta": f"{beta.address} port 22 has not answered in 2 s",
        "gamma": f"stranger@{gamma.address} refuses the login; tried .*id_ed25519",
        "delta": f"{delta.address} port 2222 refused the connection",
    }
    checked = site.ctl("check", "--connect-timeout", "2")
    report = refused(checked, 69, **wrong)
    assert "fix: see whether the host is up, and whether a firewall drops the packets" in report
    assert "fix: check `user` in the inventory, or `ssh-copy-id` a key to" in report
    assert "nothing was changed" in report
    # The host that is there is shown as it is.
    assert re.search(r"^alpha +3\.11\.\d+ ", checked.stdout, re.MULTILINE), checked.stdout
    refused(site.ctl(*DEPLOY, "--connect-timeout", "2"), 69, **wrong)
    untouched(hosts)


def test_the_first_host_of_the_inventory_decides_on_the_exit_code(docker_fleet: Fleet) -> None:
    alpha, beta = hosts = docker_fleet(2)
    site = docker_fleet.site()
    site.write("flow.py", ticking("one"))
    site.inventory(hosts, keys={"alpha": {"user": "stranger"}})
    beta.kill()
    wrong = {
        "alpha": f"stranger@{alpha.address} refuses the login; tried .*id_ed25519",
        "beta": rf"(there is no route to {beta.address}|{beta.address} port 22 has not answered)",
    }
    refused(site.ctl(*DEPLOY, "--connect-timeout", "2"), 77, **wrong)
    untouched([alpha])
    beta.start()
    untouched([beta])


def test_a_name_that_is_not_known_and_a_host_that_is_down(
    loopback_fleet: Fleet, site: Site
) -> None:
    alpha, beta, gamma = hosts = loopback_fleet(3)
    site.inventory(hosts, keys={"gamma": {"ssh": "nowhere.invalid"}})
    beta.kill()
    wrong = {
        "beta": f"{beta.address} port {beta.port} refused the connection",
        "gamma": r"(the name nowhere\.invalid is not known|no name server knew nowhere\.invalid)",
    }
    refused(site.ctl(*DEPLOY, "--connect-timeout", "2"), 69, **wrong)
    untouched([alpha, gamma])
    beta.start()
    untouched([beta])


# Inventories.


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('name = "beta"', 'nmae = "beta"', r"inventory\.toml:9: .*`nmae`.*`name`"),
        ('"beta"', '"alpha"', r"inventory\.toml:9: .*hosts\[0\] has the same name"),
        (
            "192.0.2.2",
            "192.0.2.1",
            r"inventory\.toml:10: .*\(beta\): 192\.0\.2\.1:9000 is taken by alpha",
        ),
        (INVENTORY[INVENTORY.index("[[") :], "", r"inventory\.toml:\d: there are no hosts"),
        ('name = "flights"', "name = flights", r"inventory\.toml:2: "),
    ],
    ids=["misspelt key", "duplicate name", "duplicate address", "no hosts", "bad TOML"],
)
def test_a_wrong_inventory(site: Site, old: str, new: str, said: str) -> None:
    assert old in INVENTORY
    site.write("inventory.toml", INVENTORY.replace(old, new))
    ran = site.ctl(*DEPLOY)
    assert re.search(said, refused(ran, 78)), ran.stderr


def test_no_inventory(site: Site) -> None:
    report = refused(site.ctl(*DEPLOY), 66)
    assert re.match(r"there is no inventory .inventory\.toml.\n +fix: .*`ctl init`", report), report


# Flows.


@pytest.mark.parametrize(
    ("flow", "text", "code", "said"),
    [
        ("none.py", "", 66, r"flow file none\.py does not exist; looked for /.*none\.py"),
        ("none", "", 66, r"there is no module `none`; looked in /"),
        (
            "wrong.py",
            "import engine\n\nflow = = 1\n",
            65,
            r"wrong\.py:3: invalid syntax.*\n +flow = = 1",
        ),
    ],
    ids=["no file", "no module", "syntax error"],
)
def test_a_flow_that_cannot_be_pushed(
    loopback_fleet: Fleet, site: Site, flow: str, text: str, code: int, said: str
) -> None:
    hosts = loopback_fleet(1)
    site.inventory(hosts)
    if text:
        site.write(flow, text)
    ran = site.ctl("deploy", "inventory.toml", flow)
    assert re.search(said, refused(ran, code)), ran.stderr
    assert "connect" not in ran.stderr
    untouched(hosts)


RAISES = """\
def seasons():
    raise LookupError("no such season")


flow = seasons()
"""


@pytest.mark.parametrize(
    ("flow", "text", "code", "said"),
    [
        ("late.py:nothing", ticking("one"), 66, ["nothing", "late.py"]),
        ("late.py", RAISES, 65, ["LookupError: no such season", 'late.py", line 5', "line 2"]),
        # The operator has it, the hosts do not.
        (
            "late.py",
            "import typer\n" + ticking("one"),
            65,
            ["late.py, line 1, imports `typer`, which is not there", 'requirements = ["typer"]'],
        ),
    ],
    ids=["no variable", "raises", "no module"],
)
def test_a_flow_that_hosts_cannot_load(
    docker_fleet: Fleet, flow: str, text: str, code: int, said: list[str]
) -> None:
    hosts = docker_fleet(2)
    site = docker_fleet.site()
    site.inventory(hosts)
    site.write("late.py", text)
    ran = site.ctl("deploy", "inventory.toml", flow)
    assert ran.returncode == code, ran.stderr
    _, _, report = ran.stderr.partition("error: ")
    for each in said:
        assert report.count(each) >= len(hosts), report
    assert f"exit {code}; nothing was changed" in report
    untouched(hosts)


def test_a_module_that_one_host_lacks(docker_fleet: Fleet) -> None:
    alpha, _ = hosts = docker_fleet(2)
    site = docker_fleet.site()
    site.inventory(hosts)
    site.write("flow.py", ticking("one"))
    assert site.ctl(*DEPLOY).returncode == 0
    (old,) = {each["release"] for each in status_of(site)["hosts"]}
    before = [kept(host) for host in hosts]
    alpha.write(".local/lib/python3.11/site-packages/roses.py", "COLOUR = 'red'\n")
    site.write("flow.py", "import roses\n" + ticking("two"))
    failed = site.ctl(*DEPLOY)
    assert failed.returncode == 65, failed.stderr
    _, _, report = failed.stderr.partition("error: ")
    lacks = r"^  beta  flow\.py, line 1, imports `roses`, which is not there$"
    assert re.search(lacks, report, re.MULTILINE), report
    assert "alpha" not in report
    assert "exit 65; nothing was changed" in report
    status = status_of(site)
    assert [each["state"] for each in status["processes"]] == ["running"] * 2
    assert {each["release"] for each in status["hosts"]} == {old}
    assert all(each["restarts"] == 0 for each in status["processes"])
    unlocked(hosts)
    assert [kept(host) for host in hosts] == before
