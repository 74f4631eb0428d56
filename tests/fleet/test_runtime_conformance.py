"""What `ctl` promises, for each runtime alike.

A runtime has its hosts for all of these tests, which saves pushing what it requires for each.
"""

import json
import os
import shutil
import signal
import subprocess
from ast import literal_eval
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from uv import find_uv_bin

from ctl.runtimes import find_runtime
from tests.engine.running import eventually
from tests.fleet.conftest import DOCKER_TIMEOUT, FLEET
from tests.fleet.deploying import deploying
from tests.fleet.fleets import Fleet
from tests.fleet.hosts import FleetHost, Process, Ran
from tests.fleet.refusing import refused, untouched
from tests.fleet.runtime_programs import FAILING, FAILING_LATER, KINDS, TOLD, Kind
from tests.fleet.scripts import lines, scripting, status
from tests.fleet.site import Site

NASTY = "a b  'q' \"d\" $(touch pwned) `touch pwned` ;touch pwned; ${HOME} \\n é☃ {x}\n\n\tend"
SECRET = "canary-of-a-secret-4711"
RUNNING_SECONDS = 90
FETCH_SECONDS = 60
FETCHED_BYTES = 8 << 30
"""Room for Pathway on this disk: as fetched, as a layer, on its host, and half as much to spare."""


@dataclass(frozen=True)
class Place:
    """An operator and the hosts of one runtime.

    Args:
        kind: The runtime.
        site: The operator.
        fleet: Has the hosts.
        hosts: All of them.
        python_path: By which the operator's machine has what a run there requires.
    """

    kind: Kind
    site: Site
    fleet: Fleet
    hosts: list[FleetHost]
    python_path: str

    def inventory(self, **deployment: object) -> None:
        """Two processes, on as many hosts as may be."""
        named = {"runtime": self.kind.runtime, **self.kind.options}
        self.site.inventory(
            self.hosts, processes=2 // len(self.hosts), deployment={**named, **deployment}
        )

    def deploy(self, text: str, *, flow: str = "flow.py") -> Ran:
        """Deploy a program."""
        self.site.write("flow.py", text)
        return self.site.ctl("deploy", "inventory.toml", flow, timeout=180)

    def deployed(self, mark: str, *, flow: str = "flow.py") -> dict[str, Any]:
        """Deploy the program without end, which has to succeed; give the status."""
        ran = self.deploy(self.kind.program(mark), flow=flow)
        assert ran.returncode == 0, ran.stderr
        return self.running()

    def running(self) -> dict[str, Any]:
        """The status, once all runs."""
        told: dict[str, Any] = {}

        def is_running() -> bool:
            told.update(status(self.site))
            return bool(told["state"] == "running")

        eventually(is_running, "all runs", RUNNING_SECONDS)
        return told

    def told(self) -> list[dict[str, Any]]:
        """What each process has said that it was given."""
        found: dict[int, dict[str, Any]] = {}
        for line in lines(self.site, "-n", "100000"):
            if line["text"].startswith(TOLD):
                found[line["process"]] = literal_eval(line["text"].removeprefix(TOLD))
        return [found[process] for process in sorted(found)]

    def ours(self) -> list[Process]:
        """What of a deployment runs on all hosts."""
        return [each for each in self._processes if ".hostmesh" in " ".join(each.argv)]

    def sessions(self) -> list[Process]:
        """Those who look or deploy."""
        return [each for each in self._processes if ".hostmesh" not in " ".join(each.argv)]

    @property
    def _processes(self) -> list[Process]:
        return [each for host in self.hosts for each in host.processes()]


def pathway_in(folder: Path, env: Mapping[str, str]) -> None:
    """Fetch Pathway for this machine; skip if that would take long, or too much room."""
    if shutil.disk_usage(folder.parent).free < FETCHED_BYTES:
        pytest.skip("pathway has more than a gigabyte, for which there is no room here")
    command = [find_uv_bin(), "pip", "install", "--no-progress", "--only-binary", ":all:"]
    command += ["--target", str(folder), *find_runtime("pathway").requirements]
    try:
        ran = subprocess.run(
            command,
            env={**os.environ, **env},
            capture_output=True,
            text=True,
            timeout=FETCH_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        pytest.skip(f"pathway has more than a gigabyte, which took over {FETCH_SECONDS} s to fetch")
    if ran.returncode:
        pytest.skip(f"pathway cannot be had: {ran.stderr.strip()}")


def own(kind: Kind, backend: str = "loopback") -> Any:
    """A runtime and what its hosts are; hosts that are containers have relays between them."""
    name = kind.runtime if backend == "loopback" else f"{kind.runtime}-{backend}"
    group = pytest.mark.xdist_group(f"conformance of {name}")
    marks = [group, pytest.mark.timeout(DOCKER_TIMEOUT)] if backend == "docker" else [group]
    return pytest.param((kind, backend), id=name, marks=marks)


@pytest.fixture(
    scope="module",
    params=[
        *map(own, KINDS),
        *(own(kind, "docker") for kind in KINDS if kind.runtime in ("bytewax", "command")),
    ],
)
def own_place(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, repository: Path
) -> Iterator[Place]:
    kind, backend = request.param
    if kind.runtime == "bytewax" and find_spec("bytewax") is None:
        pytest.skip("no bytewax: it has no wheel for this Python")
    folder = tmp_path_factory.mktemp(kind.runtime)
    fleet = Fleet(request.getfixturevalue(f"{backend}_pool"), folder)
    site = fleet.site()
    try:
        if kind.runtime == "script":
            scripting(site)
        python_path = site.env.get("PYTHONPATH", "")
        if kind.runtime == "pathway":
            # Stays, so that the next run of the tests has nothing to download.
            site.env["UV_CACHE_DIR"] = str(repository / ".data" / "uv")
            python_path = str(folder / "pathway")
            pathway_in(Path(python_path), site.env)
        yield Place(kind, site, fleet, fleet(kind.hosts), python_path)
    finally:
        fleet.close()
        if backend == "loopback":
            for host in fleet.hosts:
                shutil.rmtree(host.home)
        shutil.rmtree(folder)


def pids(told: Mapping[str, Any]) -> set[int]:
    """Of the processes that run, as a status tells."""
    return {each["pid"] for each in told["processes"] if each["pid"]}


@pytest.fixture
def place(own_place: Place, request: pytest.FixtureRequest) -> Place:
    request.node.stash[FLEET] = own_place.fleet
    own_place.inventory()
    return own_place


def test_check_deploy_status_logs_redeploy_stop(place: Place) -> None:
    site = place.site
    checked = site.ctl("check")
    assert checked.returncode == 0, checked.stderr
    first = place.deployed("one")
    names = [host.name for host in place.hosts]
    assert (first["schema"], first["deployment"], first["state"]) == (1, "flights", "running")
    assert [(each["name"], each["reachable"]) for each in first["hosts"]] == [
        (name, True) for name in names
    ]
    processes = first["processes"]
    assert [(each["id"], each["host"]) for each in processes] == [(0, names[0]), (1, names[-1])]
    for each in processes:
        assert (each["state"], each["restarts"], each["exit_code"]) == ("running", 0, None)
        assert (each["workers"], each["last_error"]) == (1, None)
    assert processes[-1]["lag_s"] is None
    eventually(
        lambda: (status(site)["processes"][0]["lag_s"] is None) != place.kind.lags,
        "how far the first is behind, if it says so",
    )
    # What is running holds its ports, which is no reason to refuse it.
    assert site.ctl("check").returncode == 0

    follow = site.ctl_start("logs", "-f", "-n", "100000")
    follow.prints("one")
    eventually(lambda: follow.out.count(TOLD) == 2, "lines of both processes")
    second = place.deployed("two")
    assert second["release"] != first["release"]
    follow.prints("two")
    eventually(lambda: follow.out.count("two") > 5, "lines go on")
    follow.send(signal.SIGINT)
    assert follow.code() == 130, follow.err
    again = place.deploy(place.kind.program("two"))
    assert again.returncode == 0, again.stderr
    assert "nothing to push" in again.stderr
    third = place.running()
    assert third["release"] == second["release"]
    assert not pids(third) & pids(second)

    stopped = site.ctl("stop")
    assert stopped.returncode == 0, stopped.stderr
    after = site.ctl("status", "--json")
    assert after.returncode == 0
    assert [each["state"] for each in json.loads(after.stdout)["processes"]] == ["stopped"] * 2
    eventually(lambda: not place.ours(), "nothing runs any more")


def test_a_deploy_that_fails_is_rolled_back(place: Place) -> None:
    before = place.deployed("one")
    if place.kind.checked:
        failed = place.deploy(FAILING + place.kind.program("two"))
        assert failed.returncode == 65, failed.stderr
        assert "LookupError: no roses here" in failed.stderr
        assert "nothing was changed" in failed.stderr
        assert pids(status(place.site)) == pids(before)
    failing = FAILING_LATER if place.kind.checked else FAILING
    failed = place.deploy(failing + place.kind.program("two"))
    assert failed.returncode == (65 if place.kind.checked else 70), failed.stderr
    assert "LookupError: no roses here" in failed.stderr
    assert f"release {before['release'][:6]} still runs" in failed.stderr
    after = place.running()
    assert {each["release"] for each in after["hosts"]} == {before["release"]}
    eventually(lambda: "one" in lines(place.site, "-n", "1")[-1]["text"], "the old one speaks")


def test_ctl_killed_in_the_middle_of_a_deploy(place: Place) -> None:
    before = place.deployed("one")
    place.site.write("flow.py", place.kind.program("two"))
    with deploying(place.site, "ready") as deploy:
        deploy.kill()
    eventually(lambda: not place.sessions(), "the hosts have put it right by themselves", 60)
    after = place.running()
    assert {each["release"] for each in after["hosts"]} == {before["release"]}
    assert not pids(after) & pids(before)
    eventually(lambda: "one" in lines(place.site, "-n", "1")[-1]["text"], "the old one speaks")
    assert place.deployed("three")["release"] != before["release"]


def test_values_arrive_as_they_are(place: Place) -> None:
    kind = place.kind
    options: dict[str, object] = {"env": {"NASTY": NASTY}}
    if kind.runtime == "command":
        # A brace of its own is written twice.
        word = NASTY.replace("{", "{{").replace("}", "}}")
        options["command"] = ["python", "flow.py", word, "", "-x"]
    place.inventory(**options, secrets={"ROSES": {"env": "MINE"}})
    place.site.env["MINE"] = SECRET
    arguments = [NASTY, "", "-x"] if kind.checked or kind.runtime == "command" else []
    flow = f"flow.py:build({', '.join(map(repr, arguments))})" if kind.checked else "flow.py"
    place.deployed("one", flow=flow)

    wanted = {"nasty": NASTY, "secret": len(SECRET), "arguments": arguments}
    eventually(lambda: place.told() == [wanted] * 2, "both tell what they were given")
    executed = [host.run("find", ".", "-name", "pwned") for host in place.hosts]
    assert not [*filter(None, executed), *place.site.folder.rglob("pwned")]
    # As `ps` shows it to anybody.
    assert not [each for each in place.ours() if SECRET in " ".join(each.argv)]


def test_a_program_that_ends(place: Place) -> None:
    kind = place.kind
    place.site.write("flow.py", kind.ending)
    ran = place.site.ctl("deploy", "inventory.toml", "flow.py", "--follow", timeout=180)
    assert ran.returncode == 0, ran.stderr
    said = sorted(line.partition("| ")[2] for line in ran.stdout.splitlines())
    assert [line for line in said if line in kind.ended] == list(kind.ended)
    told = status(place.site)
    assert told["state"] == "finished"
    assert [(each["state"], each["exit_code"]) for each in told["processes"]] == [
        ("finished", 0)
    ] * 2


def test_a_run_on_this_machine(place: Place) -> None:
    kind = place.kind
    if place.hosts[0].backend == "docker":
        pytest.skip("there is nothing of the hosts in it")
    place.site.write("flow.py", kind.ending)
    words = ("run", "--runtime", kind.runtime, "flow.py", "-p", "2")
    ran = place.site.ctl(*words, PYTHONPATH=place.python_path)
    if kind.run_refused:
        assert kind.run_refused in refused(ran, 64)
        return
    assert ran.returncode == 0, ran.stderr
    said = sorted(line.partition("| ")[2] for line in ran.stdout.splitlines())
    # Engines may print something beside.
    assert [line for line in said if line in kind.ended] == list(kind.ended)

    place.site.write("flow.py", kind.program("one"))
    run = place.site.ctl_start(*words, PYTHONPATH=place.python_path)
    eventually(lambda: run.out.count(TOLD) == 2, "both run")
    run.prints("tick ")
    run.send(signal.SIGINT)
    assert run.code() == 130, run.err


@pytest.mark.parametrize(
    ("runtime", "options", "sentence"),
    [
        ("engine", {"mesh": "direct"}, "`mesh`"),
        ("bytewax", {"recovery": {"store": "s3://roses"}}, "in a folder of each host"),
        ("pathway", {}, "only with a licence key"),
        ("command", {}, 'runtime = "command" needs the key `command`'),
        ("script", {"ready_lin": "^tick"}, "`ready_line`"),
    ],
)
def test_an_inventory_that_asks_for_too_much(
    loopback_fleet: Fleet, runtime: str, options: dict[str, object], sentence: str
) -> None:
    site, hosts = scripting(loopback_fleet.site()), loopback_fleet(2)
    site.inventory(hosts, deployment={"runtime": runtime, **options})
    site.write("flow.py", "")
    for words in (("check",), ("deploy", "inventory.toml", "flow.py")):
        assert sentence in refused(site.ctl(*words), 78)
    untouched(hosts)


@pytest.mark.parametrize(
    ("runtime", "sentence"),
    [
        ("pathway", "Pathway runs the file of a program"),
        ("command", 'runtime = "command" runs programs'),
    ],
)
def test_what_is_no_program(loopback_fleet: Fleet, runtime: str, sentence: str) -> None:
    site, hosts = loopback_fleet.site(), loopback_fleet(1)
    options = {"command": ["python", "flow.py"]} if runtime == "command" else {}
    site.inventory(hosts, deployment={"runtime": runtime, **options})
    site.write("flow.py", "")
    assert sentence in refused(site.ctl("deploy", "inventory.toml", "flow.py:build('x')"), 64)
    assert sentence in refused(site.ctl("run", "--runtime", runtime, "flow.py:build('x')"), 64)
    untouched(hosts)
