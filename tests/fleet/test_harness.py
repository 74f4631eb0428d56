"""The hosts of the tests are what they should be, and are gone afterwards."""

import json
import os
import signal
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from tests.engine.running import eventually
from tests.fleet import Fleet, FleetHost, Site, sshd
from tests.fleet.docker_hosts import DockerPool, engine
from tests.fleet.loopback_init import descendants
from tests.fleet.runs import FOLDER, abandoned, this_run

ROOT = Path(__file__).parents[2]

GREETING = """\
import socket, sys
try:
    with socket.create_connection((sys.argv[1], int(sys.argv[2])), 1) as connection:
        print(connection.recv(3).decode())
except TimeoutError:
    print("timed out")
"""


def greeting(here: FleetHost, there: FleetHost) -> str:
    """What one host hears from the SSH server of another."""
    return here.run("python3", "-c", GREETING, there.address, str(there.port)).strip()


def answers(site: Site, host: FleetHost) -> bool:
    words = ("ssh", "-F", site.ssh_config, "-o", "ConnectTimeout=1", host.address, "true")
    return subprocess.run(words, capture_output=True, check=False).returncode == 0


def out_of(site: Site, host: FleetHost, command: str, user: str | None = None) -> str:
    ran = site.ssh(host, command, user)
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


def trusting(fleet: Fleet) -> Site:
    site = fleet.site()
    site.trust(fleet.hosts)
    return site


def test_hosts_are_reached_by_key_and_known_by_theirs(fleet: Fleet) -> None:
    hosts, site = fleet(3), trusting(fleet)
    assert [host.name for host in hosts] == ["alpha", "beta", "gamma"]
    assert len({host.address for host in hosts}) == 3
    assert len({host.key.public for host in hosts}) == 3
    for host in hosts:
        user, connection = out_of(site, host, "whoami; echo $SSH_CONNECTION").splitlines()
        assert user == host.user
        client, _, server, port = connection.split()
        assert (client, server, port) == (fleet.operator, host.address, str(host.port))


def test_a_host_with_another_key_is_refused(fleet: Fleet) -> None:
    alpha, beta = fleet(2)
    site = trusting(fleet)
    known = site.known_hosts.read_text()
    site.known_hosts.write_text(known.replace(alpha.key.public, beta.key.public))
    assert "HOST IDENTIFICATION HAS CHANGED" in site.ssh(alpha, "true").stderr


def test_each_host_has_a_home_of_its_own(fleet: Fleet) -> None:
    hosts, site = fleet(2), trusting(fleet)
    for host in hosts:
        command = f'echo {host.name} > mine; ls ~; pwd; echo "it\'s  $HOME"'
        assert out_of(site, host, command) == f"mine\n{host.home}\nit's  {host.home}\n"
        assert host.read("mine") == f"{host.name}\n"


def test_the_inventory_names_the_hosts(fleet: Fleet) -> None:
    alpha, beta = fleet(2)
    site = fleet.site()
    path = site.inventory(
        [alpha, beta],
        processes={"beta": 2},
        deployment={"env": {"NAME": 'a "b" \n'}},
        keys={"alpha": {"mesh_port": 9100}},
        extra="[defaults]\nbind = '0.0.0.0'\n",
    )
    inventory = tomllib.loads(path.read_text())
    assert inventory["deployment"] == {"name": "flights", "env": {"NAME": 'a "b" \n'}}
    assert inventory["defaults"] == {"bind": "0.0.0.0"}
    assert inventory["hosts"][0]["mesh_port"] == 9100
    assert inventory["hosts"][1] == {
        "name": "beta",
        "ssh": beta.address,
        "ssh_port": beta.port,
        "address": beta.address,
        "user": beta.user,
        "python": beta.python,
        "processes": 2,
    }
    assert out_of(site, alpha, f"{alpha.python} -c 'print(1)'") == "1\n"


def test_ctl_runs_at_the_site(loopback_fleet: Fleet) -> None:
    site = loopback_fleet.site()
    assert site.ctl("--help").returncode == 0
    running = site.ctl_start("--help")
    assert running.code() == 0
    assert "Usage" in running.out


def test_files_and_processes_of_a_host(fleet: Fleet) -> None:
    (host,) = fleet(1)
    site = trusting(fleet)
    host.write("a folder/file", "it's\n$HOME", 0o600)
    assert out_of(site, host, "cat 'a folder/file'; stat -c %a 'a folder/file'").splitlines() == [
        "it's",
        "$HOME600",
    ]
    out_of(site, host, "setsid sleep 600 >/dev/null 2>&1 &")
    expected = [(host.user, ("sleep", "600"))]
    eventually(lambda: [(p.user, p.argv) for p in host.processes()] == expected, "the process")
    host.run("kill", str(host.processes()[0].pid))
    eventually(lambda: not host.processes(), "the end of the process")


def test_a_command_has_to_succeed_unless_told_otherwise(fleet: Fleet) -> None:
    (host,) = fleet(1)
    with pytest.raises(AssertionError, match="exited with 2:\nno"):
        host.run("sh", "-c", "echo no; exit 2")
    assert host.run("sh", "-c", "echo no; exit 2", check=False) == "no\n"
    assert host.attempt("sh", "-c", "echo no >&2; exit 2").stderr == "no\n"


def test_a_killed_host_returns_with_its_address_key_and_files(fleet: Fleet) -> None:
    (host,) = fleet(1)
    site = trusting(fleet)
    out_of(site, host, "echo kept > file; setsid sleep 600 >/dev/null 2>&1 &")
    host.kill()
    assert not answers(site, host)
    host.start()
    assert out_of(site, host, "cat file") == "kept\n"
    assert host.processes() == []


def test_a_paused_host_is_silent(fleet: Fleet) -> None:
    (host,) = fleet(1)
    site = trusting(fleet)
    host.pause()
    assert not answers(site, host)
    assert host.address in host.logs()
    host.unpause()
    assert answers(site, host)


def test_hosts_come_back_clean(docker_pool: DockerPool, tmp_path: Path) -> None:
    first = Fleet(docker_pool, tmp_path / "first")
    alpha, beta, gamma = first(3)
    site = trusting(first)
    out_of(site, alpha, "echo > file; mkdir -p .hostmesh/x; echo > /tmp/x; chmod 0 ~")
    out_of(site, alpha, "setsid sleep 600 >/dev/null 2>&1 &")
    alpha.drop()
    beta.cut()
    beta.kill()
    gamma.run("touch", "/etc/changed", user="root")
    first.close()
    second = Fleet(docker_pool, tmp_path / "second")
    again = second(3)
    assert {host.address for host in again} > {alpha.address, beta.address}
    site = trusting(second)
    for host in again:
        assert out_of(site, host, "ls ~ /tmp; ls -A | wc -l; ls -d /etc/changed || :") == (
            "/home/deploy:\n\n/tmp:\n3\n"
        )
        assert host.processes() == []
    second.close()


def test_what_a_host_runs_can_be_seen(fleet: Fleet) -> None:
    (host,) = fleet(1)
    site = trusting(fleet)
    log = "~/.hostmesh/deployments/flights/p0/log"
    out_of(site, host, f"mkdir -p $(dirname {log}); echo hello from {host.name} > {log}")
    assert "hello from alpha" in host.logs()
    assert "Accepted publickey" in host.logs()
    host.kill()
    assert "hello from alpha" in host.logs()


def test_hosts_have_the_python_that_is_asked_for(docker_fleet: Fleet) -> None:
    hosts = docker_fleet(2, python=["3.11", "3.13"])
    site = trusting(docker_fleet)
    for host, version in zip(hosts, ("3.11", "3.13"), strict=True):
        assert host.python == f"python{version}"
        assert out_of(site, host, f"{host.python} -V").startswith(f"Python {version}.")


def test_hosts_have_a_python_that_is_too_old(fleet: Fleet) -> None:
    (host,) = fleet(1)
    site = trusting(fleet)
    assert out_of(site, host, f"{host.old_python()} -V").startswith("Python 3.8.")


def test_root_can_log_in(docker_fleet: Fleet) -> None:
    (host,) = docker_fleet(1)
    site = trusting(docker_fleet)
    assert out_of(site, host, "id -u", user="root") == "0\n"
    assert site.ssh(host, "id -u", user="stranger").returncode == 255


def test_sshd_has_the_options_that_are_asked_for(fleet: Fleet) -> None:
    (host,) = fleet(1, options=["Banner /etc/hostname", "PermitTTY no"])
    site = trusting(fleet)
    words = ("ssh", "-tt", "-F", site.ssh_config, host.address, "true")
    refused = subprocess.run(words, capture_output=True, text=True, check=False)
    assert "PTY allocation request failed" in refused.stderr


def test_a_host_that_was_cut_off_returns_with_its_address(docker_fleet: Fleet) -> None:
    alpha, beta = docker_fleet(2)
    site = trusting(docker_fleet)
    beta.cut()
    assert not answers(site, beta)
    assert beta.run("id", "-un") == "deploy\n"
    beta.reconnect()
    assert answers(site, beta)
    assert greeting(alpha, beta) == greeting(beta, alpha) == "SSH"


@pytest.mark.parametrize("port", [22, None])
def test_packets_of_one_peer_are_lost(docker_fleet: Fleet, port: int | None) -> None:
    alpha, beta, gamma = docker_fleet(3)
    site = trusting(docker_fleet)
    beta.drop(port=port, from_=alpha)
    assert greeting(alpha, beta) == "timed out"
    # What beta asks of others is answered on another port.
    assert greeting(beta, alpha) == ("SSH" if port else "timed out")
    assert greeting(gamma, beta) == "SSH"
    assert answers(site, beta)
    beta.drop(from_=docker_fleet.operator)
    assert not answers(site, beta)
    beta.undrop()
    assert greeting(alpha, beta) == "SSH"
    assert answers(site, beta)


def test_all_packets_are_lost(docker_fleet: Fleet) -> None:
    (host,) = docker_fleet(1)
    site = trusting(docker_fleet)
    host.drop()
    assert not answers(site, host)
    assert greeting(host, host) == "SSH"
    host.undrop()
    assert answers(site, host)


def test_a_disk_is_full_and_has_room_again(docker_fleet: Fleet) -> None:
    (host,) = docker_fleet(1, disk="8m")
    site = trusting(docker_fleet)
    host.fill_disk()
    assert "No space left on device" in site.ssh(host, "echo word > file").stderr
    host.free_disk()
    assert site.ssh(host, "echo word > file").returncode == 0


def test_what_needs_isolation_is_skipped(loopback_fleet: Fleet) -> None:
    (host,) = loopback_fleet(1)
    for verb in (host.cut, host.reconnect, host.drop, host.undrop, host.fill_disk, host.free_disk):
        with pytest.raises(pytest.skip.Exception, match=r"alpha .* of its own"):
            verb()
    with pytest.raises(pytest.skip.Exception, match="disks of their own"):
        loopback_fleet(1, disk="8m")


def test_what_is_missing_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/no.sock")
    assert str(engine()).startswith("no containers: no Docker Engine answers (")
    monkeypatch.setitem(sys.modules, "docker", None)
    assert engine() == "no containers: the Python package docker is missing"
    monkeypatch.setattr(sshd, "program", lambda: None)
    assert sshd.unavailable() == "no hosts on loopback: no sshd (make system installs it)"


RUN = """\
import threading
from pathlib import Path

def test_hosts({kind}_fleet):
    alpha, beta = {kind}_fleet(2)
    site = {kind}_fleet.site()
    site.trust([alpha, beta])
    alpha.write(".hostmesh/deployments/flights/p0/log", "so far")
    site.ssh(alpha, "setsid sleep 600 >/dev/null 2>&1 &")
    Path("started").touch()
    {rest}
"""

WAIT = "threading.Event().wait(600)"


def pytest_run(folder: Path, kind: str, rest: str, *flags: str) -> "subprocess.Popen[str]":
    """Run a test of its own in a process of its own."""
    (folder / "conftest.py").write_text("from tests.fleet.conftest import *\n")
    (folder / "test_hosts.py").write_text(RUN.format(kind=kind, rest=rest))
    words = ["-m", "pytest", "-p", "no:cacheprovider", "--rootdir=.", *flags, "test_hosts.py"]
    return subprocess.Popen(
        [sys.executable, *words],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "80", "TMPDIR": str(folder)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        # What a terminal sends at Ctrl-C goes to the whole group.
        start_new_session=True,
    )


def left_by(folder: Path) -> int:
    """How many containers and networks runs below a folder have left."""
    client = engine()
    assert not isinstance(client, str), client
    try:
        label = {"label": FOLDER}
        containers = client.containers.list(all=True, filters={**label}, ignore_removed=True)
        found = [*containers, *client.networks.list(filters={**label})]
        return sum(str(folder) in json.dumps(each.attrs) for each in found)
    finally:
        client.close()


@pytest.fixture(params=["docker", "loopback"])
def kind(request: pytest.FixtureRequest) -> str:
    """A kind of hosts that is to be had."""
    request.getfixturevalue(f"{request.param}_pool")
    return str(request.param)


def test_a_failing_test_shows_the_logs_of_all_hosts(kind: str, tmp_path: Path) -> None:
    run = pytest_run(tmp_path, kind, "assert False, 'on purpose'")
    out, _ = run.communicate(timeout=120)
    assert run.returncode == 1
    assert "on purpose" in out
    for name in ("host alpha", "host beta"):
        assert f" {name} -" in out
    assert "so far" in out
    assert out.count("Server listening on") >= 2


@pytest.mark.parametrize("flags", [(), ("-n1", "--dist=loadgroup")])
def test_nothing_is_left_after_ctrl_c(kind: str, tmp_path: Path, flags: tuple[str, ...]) -> None:
    with pytest_run(tmp_path, kind, WAIT, *flags) as run:
        eventually((tmp_path / "started").exists, "its hosts", 60)
        ours = descendants(run.pid)
        os.killpg(run.pid, signal.SIGINT)
        out, _ = run.communicate(timeout=60)
    assert run.returncode == 2, out
    assert not list(tmp_path.glob("hostmesh-tests-of-*/*/")), out
    eventually(lambda: not any(Path(f"/proc/{pid}").exists() for pid in ours), "their end")
    if kind == "docker":
        assert left_by(tmp_path) == 0


def test_the_next_run_removes_containers_of_a_killed_one(
    docker_pool: DockerPool, tmp_path: Path
) -> None:
    with pytest_run(tmp_path, "docker", WAIT) as run:
        eventually((tmp_path / "started").exists, "its hosts", 60)
        assert left_by(tmp_path) == 3
        run.kill()
    out, _ = pytest_run(tmp_path, "docker", "pass").communicate(timeout=120)
    assert " 1 passed" in out
    assert left_by(tmp_path) == 0


def test_hosts_on_loopback_die_with_a_killed_run(loopback_pool: object, tmp_path: Path) -> None:
    with pytest_run(tmp_path, "loopback", WAIT) as run:
        eventually((tmp_path / "started").exists, "its hosts")
        ours = descendants(run.pid)
        run.kill()
    # The first process of each host, its sshd, and the orphan.
    assert len(ours) == 5
    eventually(lambda: not any(Path(f"/proc/{pid}").exists() for pid in ours), "their end")


def test_a_run_is_abandoned_when_its_process_has_ended(tmp_path: Path) -> None:
    with this_run(tmp_path) as first:
        (tmp_path / "killed").mkdir()
        killed = {**first.labels, FOLDER: str(tmp_path / "killed")}
        assert not abandoned(first.labels)
        assert abandoned(killed)
        assert not abandoned(dict.fromkeys(killed, "another machine"))
        with this_run(tmp_path) as second:
            assert first.folder.exists()
            assert second.folder != first.folder
            assert not (tmp_path / "killed").exists()
        assert not second.folder.exists()
    assert abandoned(first.labels)
