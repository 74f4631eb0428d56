"""`from ctl import Deployment`: what the commands do, from Python."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from ctl import Deployment
from ctl.errors import HostsError, NotFoundError
from tests.engine.running import eventually
from tests.fleet import toml
from tests.fleet.fleets import Fleet
from tests.fleet.flows import FINITE, ticking
from tests.fleet.site import Site

NOTEBOOK = """
import engine.operators as op
from engine.connectors.stdio import StdOutSink
from engine.dataflow import Dataflow
from engine.testing import TestingSource

from ctl import Deployment
from ctl.errors import HostsError

ADDED = 1000


class Number:
    def __init__(self, value):
        self.value = value


def more(number):
    return ("all", Number(number.value + ADDED))


flow = Dataflow("built")
numbers = op.map("make", op.input("numbers", flow, TestingSource(range(10))), Number)
keyed = op.map("more", numbers, more)
total = op.reduce_final("sum", keyed, lambda a, b: Number(a.value + b.value))
op.output("out", op.map("show", total, lambda item: f"total {item[1].value}"), StdOutSink())

deployment = Deployment.load("inventory.toml")
try:
    deployment.deploy(flow)
except HostsError as error:
    print(error)
    raise SystemExit(error.exit_code)
lines = []
code = deployment.follow(lines.append)
print(code, deployment.status().state, [line.text for line in lines if line.stream == "out"])
"""


def at(site: Site, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Be the operator of a site; gives the inventory."""
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    for name, value in site.env.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(site.folder)
    return site.folder / "inventory.toml"


def notebook(site: Site) -> subprocess.CompletedProcess[str]:
    """Run it as the standard input of Python, so that there is no file for anything of it."""
    return subprocess.run(
        [sys.executable, "-P", "-"],
        input=NOTEBOOK,
        cwd=site.folder,
        env={**os.environ, **site.env},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def everything(deployment: Deployment, flow: str) -> None:
    """Deploy, look, read and stop."""
    report = deployment.check()
    assert (report.exit_code, [row.problems for row in report.rows]) == (0, [(), ()])
    deployed = deployment.deploy(flow)
    assert (deployed.hosts, deployed.processes, deployed.state) == (2, 2, "running")
    status = deployment.status()
    assert status.state == "running"
    assert status.release == deployed.release
    assert [process.host for process in status.processes] == ["alpha", "beta"]
    eventually(lambda: len(list(deployment.logs(lines=3))) == 6, "three lines of each")
    assert {line.process for line in deployment.logs(processes=(1,))} == {1}
    assert {line.host for line in deployment.logs(hosts=("alpha",))} == {"alpha"}
    with_end = deployment.logs(follow=True)
    assert "tick" in next(line.text for line in with_end if line.stream == "out")
    with_end.close()
    again = deployment.deploy(flow)
    assert (again.release, again.pushed_bytes) == (deployed.release, 0)
    stopped = deployment.stop()
    assert stopped.states == {0: "stopped", 1: "stopped"}
    assert deployment.status().state == "stopped"


def test_all_of_it_over_ssh(fleet: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
    site = fleet.site()
    site.inventory(fleet(2))
    site.write("flow.py", ticking("one"))
    everything(Deployment.load(at(site, monkeypatch)), "flow.py")


def local_inventory(site: Site, tmp_path: Path) -> list[Path]:
    roots = [tmp_path / name / "the root" for name in ("alpha", "beta")]
    tables = [
        toml.table(
            "[[hosts]]",
            {
                "name": root.parent.name,
                "transport": "local",
                "mesh_port": port,
                "python": sys.executable,
                "root": root,
            },
        )
        for root, port in zip(roots, (19_731, 19_732), strict=True)
    ]
    header = toml.table("[deployment]", {"name": "flights"})
    site.write("inventory.toml", "\n".join([header, *tables]))
    return roots


def test_all_of_it_on_this_machine(
    loopback_fleet: Fleet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = loopback_fleet.site()
    roots = local_inventory(site, tmp_path)
    site.write("flow.py", ticking("one"))
    deployment = Deployment.load(at(site, monkeypatch))
    try:
        everything(deployment, "flow.py")
    finally:
        deployment.stop(grace=0)
    assert all((root / "deployments" / "flights").is_dir() for root in roots)


def test_commands_on_this_machine(loopback_fleet: Fleet, tmp_path: Path) -> None:
    site = loopback_fleet.site()
    local_inventory(site, tmp_path)
    site.write("flow.py", FINITE)
    deployed = site.ctl("deploy", "inventory.toml", "flow.py", "--follow")
    assert deployed.returncode == 0, deployed.stderr
    assert "('rose', 2)" in deployed.stdout
    assert "finished" in site.ctl("status").stdout
    assert "('rose', 2)" in site.ctl("logs").stdout
    stopped = site.ctl("stop")
    assert stopped.returncode == 0, stopped.stderr


def test_a_dataflow_that_is_in_no_file(fleet: Fleet) -> None:
    site = fleet.site()
    site.inventory(fleet(2))
    ran = notebook(site)
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout == "0 finished ['total 10045']\n"


def test_a_dataflow_that_is_in_no_file_needs_the_same_python(docker_fleet: Fleet) -> None:
    other = "3.13" if sys.version_info[:2] != (3, 13) else "3.11"
    hosts = docker_fleet(2, python=other)
    site = docker_fleet.site()
    site.inventory(hosts)
    ran = notebook(site)
    assert ran.returncode == 76, ran.stderr
    for host in hosts:
        assert f"  {host.name}" in ran.stdout
        assert host.attempt("ls", "-A", ".hostmesh").stdout == ""
    running = f"{sys.version_info.major}.{sys.version_info.minor}"
    assert f"Python {other}." in ran.stdout
    assert running in ran.stdout


def test_what_is_not_there(loopback_fleet: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
    site = loopback_fleet.site()
    hosts = loopback_fleet(2)
    site.inventory(hosts)
    path = at(site, monkeypatch)
    with pytest.raises(NotFoundError, match=r"no\.toml"):
        Deployment.load(path.with_name("no.toml"))
    deployment = Deployment.load(path)
    with pytest.raises(NotFoundError, match="not deployed"):
        deployment.stop()
    with pytest.raises(NotFoundError, match=r"no\.py"):
        deployment.deploy("no.py")
    assert deployment.status().state == "stopped"
    hosts[1].kill()
    site.write("flow.py", FINITE)
    with pytest.raises(HostsError) as raised:
        deployment.deploy("flow.py")
    assert list(raised.value.failures) == ["beta"]
    assert raised.value.exit_code == 69
