"""The hosts of the tests are what they should be, and are gone afterwards."""

import json
import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from tests.engine.running import eventually
from tests.fleet import Fleet, Host, MakeFleet, loopback, on_containers, on_loopback
from tests.fleet.containers import engine
from tests.fleet.loopback_init import descendants
from tests.fleet.runs import FOLDER, abandoned, this_run

ROOT = Path(__file__).parents[2]

GREETING = """\
import socket, sys
try:
    with socket.create_connection((sys.argv[1], 22), 1) as connection:
        print(connection.recv(3).decode())
except TimeoutError:
    print("timed out")
"""


def greeting(here: Host, there: Host) -> str:
    """What one host hears from the SSH server of another."""
    return here.exec("python3", "-c", GREETING, there.address).stdout.strip()


def answers(fleet: Fleet, host: Host) -> bool:
    words = ("ssh", "-F", fleet.ssh_config, "-o", "ConnectTimeout=1", host.address, "true")
    return subprocess.run(words, capture_output=True, check=False).returncode == 0


def test_hosts_are_reached_by_key_and_known_by_theirs(fleet: MakeFleet) -> None:
    three = fleet(3)
    assert [host.name for host in three.hosts] == ["alpha", "beta", "gamma"]
    assert len({host.address for host in three.hosts}) == 3
    assert len({host.key.public for host in three.hosts}) == 3
    for host in three.hosts:
        ran = three.ssh(host, "whoami; echo $SSH_CONNECTION")
        assert ran.returncode == 0, ran.stderr
        user, connection = ran.stdout.splitlines()
        assert user == host.user
        client, _, server, port = connection.split()
        assert (client, server, port) == (three.operator, host.address, str(host.port))


def test_a_host_with_another_key_is_refused(fleet: MakeFleet) -> None:
    (host,) = (one := fleet(1)).hosts
    stranger = fleet(1).hosts[0].key.public
    one.known_hosts.write_text(one.known_hosts.read_text().replace(host.key.public, stranger))
    assert "HOST IDENTIFICATION HAS CHANGED" in one.ssh(host, "true").stderr


def test_each_host_has_a_home_of_its_own(fleet: MakeFleet) -> None:
    two = fleet(2)
    for host in two.hosts:
        assert two.ssh(host, f"echo {host.name} > mine; ls ~").stdout == "mine\n"
        assert host.exec("cat", "mine").stdout == f"{host.name}\n"


def test_the_inventory_names_the_hosts(fleet: MakeFleet) -> None:
    two = fleet(2)
    text = two.inventory({"env": {"NAME": 'a "b" \n'}}, {"beta": {"processes": 2}})
    inventory = tomllib.loads(text)
    assert inventory["deployment"] == {"name": "flights", "env": {"NAME": 'a "b" \n'}}
    alpha, beta = inventory["hosts"]
    assert beta == {
        "name": "beta",
        "ssh": two["beta"].address,
        "ssh_port": two["beta"].port,
        "address": two["beta"].address,
        "user": two["beta"].user,
        "identity": str(two.identity),
        "python": two["beta"].python,
        "processes": 2,
    }
    assert two.ssh(two["alpha"], f"{alpha['python']} -c 'print(1)'").stdout == "1\n"


def test_a_killed_host_returns_with_its_address_and_files(fleet: MakeFleet) -> None:
    (host,) = (one := fleet(1)).hosts
    one.ssh(host, "echo kept > file; setsid sleep 600 >/dev/null 2>&1 &")
    eventually(lambda: host.processes() == ["sleep 600"], "the orphan that outlives its session")
    host.kill()
    assert not answers(one, host)
    host.start()
    assert one.ssh(host, "cat file").stdout == "kept\n"
    assert host.processes() == []


def test_a_paused_host_is_silent(fleet: MakeFleet) -> None:
    (host,) = (one := fleet(1)).hosts
    host.pause()
    assert not answers(one, host)
    assert "600" not in host.logs()
    host.resume()
    assert answers(one, host)


def test_what_a_host_runs_can_be_seen(fleet: MakeFleet) -> None:
    (host,) = (one := fleet(1)).hosts
    log = "~/.hostmesh/deployments/flights/p0/log"
    one.ssh(host, f"mkdir -p $(dirname {log}); echo hello from {host.name} > {log}")
    assert "hello from alpha" in host.logs()
    assert "Accepted publickey" in host.logs()
    host.kill()
    assert "hello from alpha" in host.logs()


def test_a_command_has_to_succeed_unless_told_otherwise(fleet: MakeFleet) -> None:
    (host,) = fleet(1).hosts
    with pytest.raises(AssertionError, match="exited with 2:\nno"):
        host.exec("sh", "-c", "echo no; exit 2")
    assert host.exec("sh", "-c", "exit 2", check=False).returncode == 2


@on_containers
def test_hosts_have_the_python_that_is_asked_for(fleet: MakeFleet) -> None:
    two = fleet(2, python=["3.11", "3.13"])
    for host, version in zip(two.hosts, ("3.11", "3.13"), strict=True):
        assert host.python == f"python{version}"
        assert two.ssh(host, f"{host.python} -V").stdout.startswith(f"Python {version}.")


@on_containers
def test_root_can_log_in(fleet: MakeFleet) -> None:
    (host,) = (one := fleet(1)).hosts
    assert one.ssh(host, "id -u", user="root").stdout == "0\n"
    assert one.ssh(host, "id -u", user="nobody").returncode == 255


@on_containers
def test_a_host_that_was_cut_off_returns_with_its_address(fleet: MakeFleet) -> None:
    alpha, beta = (two := fleet(2)).hosts
    beta.cut_off()
    assert not answers(two, beta)
    assert beta.exec("id", "-un").stdout == "deploy\n"
    beta.reconnect()
    assert answers(two, beta)
    assert greeting(alpha, beta) == greeting(beta, alpha) == "SSH"


@on_containers
@pytest.mark.parametrize("direction", ["in", "out", "both"])
def test_packets_of_one_peer_are_lost(fleet: MakeFleet, direction: str) -> None:
    alpha, beta, gamma = (three := fleet(3)).hosts
    match direction:
        case "in":
            beta.drop_packets("in", peer=alpha, port=22)
        case "out":
            beta.drop_packets("out", peer=alpha.address, port=22)
        case "both":
            beta.drop_packets(peer=alpha)
    assert greeting(alpha, beta) == "timed out"
    # The port is beta's own: what it asks of others has another.
    assert greeting(beta, alpha) == ("timed out" if direction == "both" else "SSH")
    assert greeting(gamma, beta) == "SSH"
    assert answers(three, beta)
    beta.pass_packets()
    assert greeting(alpha, beta) == "SSH"


@on_containers
def test_all_packets_are_lost(fleet: MakeFleet) -> None:
    (host,) = (one := fleet(1)).hosts
    host.drop_packets()
    assert not answers(one, host)
    host.pass_packets()
    assert answers(one, host)


@on_containers
def test_a_disk_is_full_and_has_room_again(fleet: MakeFleet) -> None:
    (host,) = (one := fleet(1, disk_mib=8)).hosts
    host.fill_disk()
    assert "No space left on device" in one.ssh(host, "echo word > file").stderr
    host.free_disk()
    assert one.ssh(host, "echo word > file").returncode == 0


@on_containers
@pytest.mark.parametrize("seconds", [60, -3600])
def test_a_clock_is_off(fleet: MakeFleet, seconds: int) -> None:
    alpha, beta = (two := fleet(2, python=["3.11", "3.13"])).hosts

    def ahead() -> list[float]:
        clock = "python3 -c 'import time; print(time.time())'"
        mine, *theirs = (float(two.ssh(host, clock).stdout) for host in (alpha, alpha, beta))
        return [time - mine for time in theirs]

    beta.shift_clock(seconds)
    assert ahead() == pytest.approx([0, seconds], abs=10)
    beta.shift_clock(0)
    assert ahead() == pytest.approx([0, 0], abs=10)


@on_loopback
def test_what_needs_isolation_is_skipped(fleet: MakeFleet) -> None:
    (host,) = fleet(1).hosts
    verbs = [host.cut_off, host.reconnect, host.drop_packets, host.pass_packets]
    for verb in [*verbs, host.fill_disk, host.free_disk, lambda: host.shift_clock(1)]:
        with pytest.raises(pytest.skip.Exception, match=r"alpha .*\bits? own\b"):
            verb()
    with pytest.raises(pytest.skip.Exception, match="disks of their own"):
        fleet(1, disk_mib=8)


def test_what_is_missing_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/no.sock")
    assert str(engine()).startswith("no containers: no Docker Engine answers (")
    monkeypatch.setitem(sys.modules, "docker", None)
    assert engine() == "no containers: the Python package docker is missing"
    monkeypatch.setattr(loopback, "sshd", lambda: None)
    assert loopback.unavailable() == "no hosts on loopback: no sshd (make system installs it)"


RUN = """\
from pathlib import Path
import pytest

pytest_plugins = ["tests.fleet.plugin"]

@pytest.mark.parametrize("fleet", ["{kind}"], indirect=True)
def test_hosts(fleet):
    two = fleet(2)
    two["alpha"].exec("mkdir", "-p", ".hostmesh/deployments/flights/p0")
    two["alpha"].exec("sh", "-c", "echo so far > .hostmesh/deployments/flights/p0/log")
    two.ssh(two["alpha"], "setsid sleep 600 >/dev/null 2>&1 &")
    Path("started").touch()
    {rest}
"""

WAIT = "import time; time.sleep(600)"


def pytest_run(folder: Path, kind: str, rest: str) -> "subprocess.Popen[str]":
    """Run a test of its own in a process of its own."""
    (folder / "test_hosts.py").write_text(RUN.format(kind=kind, rest=rest))
    return subprocess.Popen(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "--rootdir=.", "test_hosts.py"],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "80", "TMPDIR": str(folder)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def left_by(folder: Path) -> int:
    """How many containers and networks runs below a folder have left."""
    client = engine()
    assert not isinstance(client, str), client
    try:
        found = [
            *client.containers.list(all=True, filters={"label": FOLDER}, ignore_removed=True),
            *client.networks.list(filters={"label": FOLDER}),
        ]
        return sum(str(folder) in json.dumps(each.attrs) for each in found)
    finally:
        client.close()


@pytest.fixture(params=["containers", "loopback"])
def kind(request: pytest.FixtureRequest) -> str:
    """A kind of hosts that is to be had."""
    request.getfixturevalue(request.param)
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


def test_nothing_is_left_after_a_run(kind: str, tmp_path: Path) -> None:
    run = pytest_run(tmp_path, kind, "pass")
    out, _ = run.communicate(timeout=120)
    assert run.returncode == 0, out
    assert not list(tmp_path.glob("hostmesh-tests-of-*/*/"))
    if kind == "containers":
        assert left_by(tmp_path) == 0


def test_the_next_run_removes_containers_of_a_killed_one(
    containers: object, tmp_path: Path
) -> None:
    with pytest_run(tmp_path, "containers", WAIT) as run:
        eventually((tmp_path / "started").exists, "its hosts", 60)
        assert left_by(tmp_path) == 3
        run.kill()
    out, _ = pytest_run(tmp_path, "containers", "pass").communicate(timeout=120)
    assert " 1 passed" in out
    assert left_by(tmp_path) == 0


def test_hosts_on_loopback_die_with_a_killed_run(loopback: object, tmp_path: Path) -> None:
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
