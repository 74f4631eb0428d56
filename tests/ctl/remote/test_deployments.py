import errno
import os
import shutil
import signal
import sys
import threading
from pathlib import Path

import pytest

from ctl.remote import changes, commands, processes
from ctl.remote.errors import RemoteError
from ctl.remote.lock import DeploymentLock
from ctl.remote.probes import Answer
from ctl.remote.root import write_json
from ctl.remote.staging import stage
from tests.ctl.remote.machine import ended, loads, log, prints, script, shell, spec
from tests.engine.running import eventually

pytestmark = pytest.mark.filterwarnings("ignore:subprocess .* is still running")

SLEEP = shell("echo up; exec sleep 600")


def always():
    return True


def unheard(_event):
    pass


@pytest.fixture
def deployment(machine):
    return machine.deployment()


def switch(deployment, launch):
    deployment.begin_switch(launch)
    deployment.switch(launch, 10.0, always)


def deploy(deployment, launch, *, secrets=None, files=None, timeout=20.0):
    name = launch["launch"]
    stage(deployment, launch, files or {}, secrets or {})
    switch(deployment, name)
    assert deployment.ready(name, timeout, always, unheard) is None
    deployment.commit(name)
    deployment.tidy()


def running(deployment):
    """Launches of the processes that run, by ID."""
    states = [(folder, folder.state()) for folder in deployment.folders()]
    return {
        int(folder.path.name): state.launch for folder, state in states if state.state == "running"
    }


def runs(deployment, wanted):
    eventually(lambda: running(deployment) == wanted, f"{wanted} to run")


def names(folder):
    return sorted(each.name for each in folder.iterdir())


def test_nothing_was_ever_deployed(deployment):
    assert deployment.status() == {
        "current": None,
        "manifest": None,
        "changing": None,
        "cut_off": False,
        "processes": [],
    }
    assert deployment.ports() == []
    deployment.revert()
    deployment.stop(1.0)
    deployment.tidy()
    assert not deployment.folder.exists()


def test_a_deploy(machine, deployment):
    launch = machine.launch("L1", machine.server(0), machine.server(1))
    stage(deployment, launch, {"tls/ca.pem": "text"}, {"TOKEN": "hunter22"})
    assert running(deployment) == {}
    assert deployment.current is None
    folder = deployment.folder / "launches" / "L1"
    assert (folder / "tls" / "ca.pem").read_text() == "text"
    assert loads(folder / "secrets.json") == {"TOKEN": "hunter22"}
    assert [each for each in folder.rglob("*") if each.stat().st_mode & 0o077] == []
    assert "hunter22" not in (folder / "launch.json").read_text()

    switch(deployment, "L1")
    assert deployment.switching["launch"] == "L1"
    assert deployment.ready("L1", 20.0, always, unheard) is None
    deployment.commit("L1")
    assert deployment.switching is None
    status = deployment.status()
    assert status["manifest"] == {"release": "r1"}
    assert (status["current"]["launch"], status["current"]["desired"]) == ("L1", "running")
    one, other = status["processes"]
    assert (one["id"], one["state"], one["address"]) == (0, "running", "127.0.0.1:9000")
    assert (other["items_in"], other["items_out"], other["last_error"]) == (5, 7, None)
    assert deployment.ports() == [(9000, False), (9001, False)]


def test_another_deploy_takes_its_place(machine, deployment):
    deploy(deployment, machine.launch("L1", machine.server(0), machine.server(1)))
    before = [folder.state().pid for folder in deployment.folders()]
    deploy(deployment, machine.launch("L2", machine.server(0), release="r2"))
    runs(deployment, {0: "L2"})
    assert all(map(ended, before))
    assert names(deployment.folder / "launches") == ["L2"]
    assert names(deployment.folder / "processes") == ["0"]
    assert deployment.current["release"] == "r2"


def test_a_log_goes_on_over_deploys(machine, deployment):
    for name in ("L1", "L2"):
        deploy(deployment, machine.launch(name, spec(0, *shell(f"echo {name}"))))
    assert log(deployment.process(0)) == [("o", "L1"), ("o", "L2")]


def test_a_host_that_gets_nothing_to_run(machine, deployment):
    deploy(deployment, machine.launch("L1", machine.server(0)))
    deploy(deployment, machine.launch("L2"))
    assert running(deployment) == {}
    assert deployment.current["desired"] == "gone"
    assert not deployment.folders()


# Stage.


def test_a_flow_that_cannot_be_loaded(machine, deployment):
    check = {"argv": list(shell("echo 'error: no module x' >&2; exit 65")), "env": {}, "cwd": None}
    launch = machine.launch("L1", spec(0, *SLEEP), checks=[check | {"ready": {}}])
    with pytest.raises(RemoteError) as caught:
        stage(deployment, launch, {}, {})
    assert (caught.value.exit_code, caught.value.problem) == (65, "no module x")
    # It is checked again the next time.
    assert not machine.root.release("r1").exists()


@pytest.mark.parametrize(
    ("words", "code", "problem"),
    [
        (shell("exit 70"), 70, "the check of the flow ended with 70"),
        (shell("kill -KILL $$"), 70, "the check of the flow ended with -9"),
        (("/no/such",), 70, "cannot run /no/such: No such file or directory"),
    ],
)
def test_a_check_that_says_nothing(machine, deployment, words, code, problem):
    check = {"argv": list(words), "env": {}, "cwd": None, "ready": {}}
    with pytest.raises(RemoteError) as caught:
        stage(deployment, machine.launch("L1", checks=[check]), {}, {})
    assert (caught.value.exit_code, caught.value.problem) == (code, problem)


def test_what_a_check_says_has_no_secrets(machine, deployment):
    words = shell('echo "$TOKEN is not for you" >&2; exit 70')
    check = {"argv": list(words), "env": {}, "cwd": None, "ready": {}}
    with pytest.raises(RemoteError) as caught:
        stage(deployment, machine.launch("L1", checks=[check]), {}, {"TOKEN": "hunter22"})
    assert caught.value.problem == "[secret TOKEN] is not for you"


@pytest.mark.parametrize(("module", "requires"), [("roses", True), ("mine.roses", False)])
def test_a_module_that_is_not_there(machine, deployment, module, requires):
    """Part of a package that is there belongs to the user, and nobody else's would do."""
    text = f"ModuleNotFoundError: No module named '{module}'"
    check = {"argv": list(shell(f'echo "{text}" >&2; exit 65')), "env": {}, "cwd": None}
    with pytest.raises(RemoteError) as caught:
        stage(deployment, machine.launch("L1", checks=[check | {"ready": {}}]), {}, {})
    assert caught.value.problem == f"the flow imports `{module}`, which is not there"
    assert ("requirements" in caught.value.fix) == requires
    assert "`include`" in caught.value.fix


def test_a_check_that_takes_too_long(machine, deployment, monkeypatch):
    monkeypatch.setattr(commands, "_SECONDS", 0.1)
    check = {"argv": ["sleep", "600"], "env": {}, "cwd": None, "ready": {}}
    with pytest.raises(RemoteError, match=r"the check of the flow has not ended after 0\.1 s"):
        stage(deployment, machine.launch("L1", checks=[check]), {}, {})


def test_a_check_has_variables_and_secrets(machine, deployment):
    words = shell('test "$A$B" = "x y"')
    check = {"argv": list(words), "env": {"A": "x "}, "cwd": None, "ready": {}}
    stage(deployment, machine.launch("L1", checks=[check]), {}, {"B": "y"})
    assert machine.root.release("r1").exists()


def test_what_only_the_host_knows(machine, deployment, monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("SSH_CONNECTION", "secret")
    monkeypatch.setenv("ENGINE_SECRET", "secret")
    monkeypatch.setenv("OF_THE_USER", "kept")
    place = {"place": ["layers", "abc", "fl ow.py"], "then": ":flow"}
    path = {"join": [{"place": ["a"], "then": ""}, "b"]}
    process = spec(0, {"python": None}, place, env={"P": path}, cwd="~/work", socket=place)
    stage(deployment, machine.launch("L1", process), {}, {})
    (staged,) = deployment.launch("L1")["processes"]
    root = str(machine.root.path)
    assert staged["argv"] == [sys.executable, f"{root}/layers/abc/fl ow.py:flow"]
    assert staged["env"]["P"] == f"{root}/a{os.pathsep}b"
    assert staged["env"]["OF_THE_USER"] == "kept"
    assert not {"SSH_CONNECTION", "ENGINE_SECRET", "PWD"} & set(staged["env"])
    assert staged["cwd"] == str(tmp_path / "work")
    assert staged["ready"]["socket"] == staged["argv"][1]


def test_included_files_are_where_a_flow_looks_for_them(machine, deployment):
    words = shell("cat data/a.csv")
    for layer in ("one", "two"):
        path = machine.root.layer(layer) / "data" / "a.csv"
        path.parent.mkdir(parents=True)
        path.write_text(f"{layer}\n")
        links = {"data/a.csv": ["layers", layer, "data/a.csv"]}
        deploy(deployment, machine.launch(layer, spec(0, *words), links=links))
    assert [line for _, line in log(deployment.process(0))] == ["one", "two"]


def test_a_file_in_the_way_of_an_included_one(machine, deployment):
    path = deployment.folder / "work" / "a.csv"
    path.parent.mkdir(parents=True)
    path.write_text("mine")
    with pytest.raises(RemoteError) as caught:
        stage(deployment, machine.launch("L1", links={"a.csv": ["layers", "x", "a.csv"]}), {}, {})
    assert caught.value.exit_code == 73
    assert "is in the way of the included file a.csv" in caught.value.problem
    assert path.read_text() == "mine"


# Ready.


def test_a_finite_process_counts_as_ready(machine, deployment):
    deploy(deployment, machine.launch("L1", spec(0, *shell("echo done"))))
    eventually(lambda: not deployment.process(0).supervised, "its end")
    assert deployment.status()["processes"][0]["state"] == "finished"


def test_a_process_that_fails(machine, deployment):
    failing = spec(1, *shell("echo 'error: why' >&2; exit 70"))
    stage(deployment, machine.launch("L1", machine.server(0), failing), {}, {})
    switch(deployment, "L1")
    failed = deployment.ready("L1", 20.0, always, unheard)
    assert (failed["id"], failed["state"], failed["exit_code"]) == (1, "failed", 70)
    assert failed["tail"] == "error: why"


def test_a_process_that_is_not_ready_in_time(machine, deployment):
    stage(deployment, machine.launch("L1", machine.server(0, ready=False)), {}, {})
    switch(deployment, "L1")
    prints(deployment.process(0), "serving")
    said = []
    with pytest.raises(RemoteError) as caught:
        deployment.ready("L1", 0.3, always, said.append)
    assert caught.value.exit_code == 69
    assert caught.value.problem == "process 0 is not ready after 0.3 s: waiting for a peer"
    assert said == [{"process": 0, "reason": "waiting for a peer"}]


def test_nobody_waits_any_more(machine, deployment):
    stage(deployment, machine.launch("L1", machine.server(0, ready=False)), {}, {})
    deployment.switch("L1", 10.0, lambda: False)
    assert running(deployment) == {}
    switch(deployment, "L1")
    wanted = [True, True, False]
    deployment.ready("L1", 600.0, lambda: wanted.pop(0), unheard)


# Status.


def test_what_a_change_looks_like_from_elsewhere(machine, deployment):
    deploy(deployment, machine.launch("L1", machine.server(0)))
    who = {"user": "ada"}
    lock = DeploymentLock(deployment.folder, who)
    launch = machine.launch("L2", machine.server(0), machine.server(1), release="r2")
    stage(deployment, launch, {}, {})
    switch(deployment, "L2")
    assert deployment.ready("L2", 20.0, always, unheard) is None
    status = machine.deployment().status()
    assert status["changing"] == who
    assert not status["cut_off"]
    assert [each["state"] for each in status["processes"]] == ["running", "running"]
    lock.release()
    # What it left runs, but it does not count.
    status = machine.deployment().status()
    assert status["cut_off"]
    assert status["current"]["launch"] == "L1"
    assert [each["state"] for each in status["processes"]] == ["stopped"]


def test_processes_are_asked_at_once(machine, deployment, monkeypatch):
    """Those that hang would take two seconds each."""
    together = threading.Barrier(3, timeout=20.0)

    def answer(_probe, _asked):
        together.wait()
        return Answer(ready=True)

    deploy(deployment, machine.launch("L1", *map(machine.server, range(3))))
    monkeypatch.setattr(processes, "ask", answer)
    states = [each["state"] for each in deployment.status()["processes"]]
    assert states == ["running"] * 3


def test_what_a_process_says_of_itself_has_no_secrets(machine, deployment, monkeypatch):
    answer = Answer(ready=True, last_error="KeyError('it''s hunter22')".replace("''", "\\'"))
    deploy(deployment, machine.launch("L1", machine.server(0)), secrets={"TOKEN": "it's hunter22"})
    monkeypatch.setattr(processes, "ask", lambda *_: answer)
    (process,) = deployment.status()["processes"]
    assert process["last_error"] == "KeyError('[secret TOKEN]')"
    answer = Answer(ready=False, reason="waits for it's hunter22")
    (process,) = deployment.status()["processes"]
    assert process["note"] == "waits for [secret TOKEN]"


def test_a_process_that_does_not_answer(machine, deployment):
    deploy(deployment, machine.launch("L1", spec(0, *shell("exit 0"))))
    deploy(deployment, machine.launch("L2", machine.server(0)))
    (deployment.process(0).path / "health.sock").unlink()
    (process,) = deployment.status()["processes"]
    assert (process["state"], process["note"]) == ("starting", "it is starting")


# Stop.


def test_a_stop(machine, deployment):
    deploy(deployment, machine.launch("L1", machine.server(0), machine.server(1)))
    deployment.stop(10.0)
    assert running(deployment) == {}
    assert [each["state"] for each in deployment.status()["processes"]] == ["stopped", "stopped"]
    assert deployment.current["desired"] == "stopped"
    deployment.stop(10.0)
    deploy(deployment, machine.launch("L2", machine.server(0)))
    runs(deployment, {0: "L2"})


def test_a_stop_after_a_deploy_that_was_cut_off(machine, deployment):
    deploy(deployment, machine.launch("L1", machine.server(0)))
    stage(deployment, machine.launch("L2", machine.server(0)), {}, {})
    switch(deployment, "L2")
    machine.deployment().stop(10.0)
    assert running(deployment) == {}
    assert deployment.switching is None
    assert deployment.current["launch"] == "L1"


def full(*_args, **_more):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_a_stop_on_a_full_disk(machine, deployment, monkeypatch):
    deploy(deployment, machine.launch("L1", machine.server(0)))
    monkeypatch.setattr(changes, "write_json", full)
    monkeypatch.setattr(processes, "write_json", full)
    with pytest.raises(RemoteError) as caught:
        deployment.stop(10.0)
    assert caught.value.exit_code == 73
    assert running(deployment) == {}


# All or nothing.


def test_a_switch_is_undone(machine, deployment):
    deploy(deployment, machine.launch("L1", machine.server(0), machine.server(1)))
    stage(deployment, machine.launch("L2", machine.server(0), machine.server(2)), {}, {})
    switch(deployment, "L2")
    deployment.revert()
    deployment.tidy()
    runs(deployment, {0: "L1", 1: "L1"})
    assert deployment.ready("L1", 20.0, always, unheard) is None
    assert names(deployment.folder / "launches") == ["L1"]
    assert names(deployment.folder / "processes") == ["0", "1"]
    deployment.revert()
    runs(deployment, {0: "L1", 1: "L1"})


def test_what_was_stopped_stays_so(machine, deployment):
    deploy(deployment, machine.launch("L1", machine.server(0)))
    deployment.stop(10.0)
    stage(deployment, machine.launch("L2", machine.server(0)), {}, {})
    switch(deployment, "L2")
    deployment.revert()
    assert running(deployment) == {}
    assert deployment.current["desired"] == "stopped"


def test_nothing_is_left_of_a_first_deploy_that_is_undone(machine, deployment):
    stage(deployment, machine.launch("L1", machine.server(0)), {"a/b": "c"}, {"D": "e"})
    switch(deployment, "L1")
    deployment.revert()
    deployment.tidy()
    assert not deployment.folder.exists()


def test_a_full_disk_during_a_switch(machine, deployment, monkeypatch):
    deploy(deployment, machine.launch("L1", machine.server(0)))
    stage(deployment, machine.launch("L2", machine.server(0)), {}, {})
    with monkeypatch.context() as patch:
        patch.setattr(changes, "write_json", full)
        with pytest.raises(RemoteError) as caught:
            switch(deployment, "L2")
    assert caught.value.exit_code == 73
    runs(deployment, {0: "L1"})
    deployment.revert()
    runs(deployment, {0: "L1"})


def test_a_release_that_cannot_be_started(machine, deployment):
    deploy(deployment, machine.launch("L1", machine.server(0)))
    launch = machine.launch("L2", machine.server(0))
    launch["agent"] = "0" * 64
    stage(deployment, launch, {}, {})
    with pytest.raises(RemoteError, match="did not start"):
        switch(deployment, "L2")
    deployment.revert()
    runs(deployment, {0: "L1"})


def test_what_ran_before_a_cut_off_deploy_cannot_be_started(machine, deployment):
    """It does not stand in the way of the next release."""
    deploy(deployment, machine.launch("L1", machine.server(0)))
    stage(deployment, machine.launch("L2", machine.server(0)), {}, {})
    switch(deployment, "L2")
    file = deployment.folder / "launches" / "L1" / "launch.json"
    write_json(file, loads(file) | {"agent": "0" * 64})
    assert "supervisor of process 0 did not start" in deployment.mend()["problem"]
    assert running(deployment) == {}
    assert deployment.mend() is None
    deploy(deployment, machine.launch("L3", machine.server(0)))
    runs(deployment, {0: "L3"})


def test_what_runs_can_end_before_this_host_has_switched(machine, deployment):
    """Its peers have been stopped before it; it is put back like them."""
    deploy(deployment, machine.launch("L1", machine.server(0)))
    stage(deployment, machine.launch("L2", machine.server(0)), {}, {})
    deployment.begin_switch("L2")
    os.kill(deployment.process(0).state().pid, signal.SIGTERM)
    eventually(lambda: running(deployment) == {}, "the end of the process")
    deployment.switch("L2", 10.0, always)
    deployment.revert()
    runs(deployment, {0: "L1"})


@pytest.mark.parametrize("by", ["revert", "mend"])
def test_what_nobody_has_stopped_runs_on(machine, deployment, by):
    """To restart it would end it on hosts that do not know of a switch yet."""
    deploy(deployment, machine.launch("L1", machine.server(0)))
    before = deployment.process(0).state().pid
    deployment.begin_switch("L2")
    getattr(deployment, by)()
    assert deployment.switching is None
    assert deployment.process(0).state().pid == before


@pytest.mark.parametrize("by", ["revert", "mend"])
def test_what_ends_because_others_were_stopped_is_put_back(machine, deployment, by):
    deploy(deployment, machine.launch("L1", machine.server(0)))
    before = deployment.process(0).state().pid
    deployment.begin_switch("L2")
    os.kill(before, signal.SIGTERM)
    getattr(deployment, by)()
    runs(deployment, {0: "L1"})
    assert deployment.process(0).state().pid != before


def test_the_first_failure_is_none_by_the_loss_of_peers(machine, deployment):
    asked = machine.root.path / "asked"
    lost = spec(0, *shell("exit 74"))
    # Others know of it before it ends, so what comes of it is to be waited for.
    failed = spec(1, *shell(f"until [ -e '{asked}' ]; do sleep 0.02; done; exit 3"))

    def goes_on():
        asked.touch()
        return True

    for name, processes_, found in (
        ("L1", [lost, failed], (1, 3)),
        ("L2", [lost], None),
        ("L3", [spec(0, *SLEEP), spec(1, *shell("kill -9 $$"))], (1, None)),
        ("L4", [spec(0, *SLEEP)], None),
    ):
        stage(deployment, machine.launch(name, *processes_), {}, {})
        switch(deployment, name)
        limit = 0.1 if name == "L4" else 30.0
        state = deployment.first_failure(name, limit, goes_on)
        assert (state and (state["id"], state["exit_code"])) == found
    assert deployment.first_failure("L4", 30.0, lambda: False) is None


LOSES_PEERS = """
import os, signal, sys
signal.signal(signal.SIGUSR1, lambda *_: sys.exit(74))
print(os.getpid(), "is up", flush=True)
while True:
    signal.pause()
"""


@pytest.mark.parametrize("halted", [False, True])
@pytest.mark.parametrize("by", ["revert", "mend"])
def test_what_is_put_back_may_lose_peers_that_come_later(machine, deployment, by, halted):
    """Cut off from each other, hosts go back at times of their own."""
    process = spec(0, *script(LOSES_PEERS), lost_codes=[74]) | {"ready": {"kind": "at_once"}}
    folder = deployment.process(0)

    def loses_its_peers():
        eventually(lambda: folder.state().pid, "the process")
        pid = folder.state().pid
        prints(folder, f"{pid} is up")
        os.kill(pid, signal.SIGUSR1)

    deploy(deployment, machine.launch("L1", process))
    deployment.begin_switch("L2")
    if halted:
        deployment.halt(10.0)
    getattr(deployment, by)()
    loses_its_peers()
    eventually(lambda: folder.state().restarts == 1, "another start")
    runs(deployment, {0: "L1"})
    deploy(deployment, machine.launch("L2", process))
    loses_its_peers()
    eventually(lambda: folder.state().state == "failed", "its end")
    assert folder.state().restarts == 0


def test_a_switch_that_is_taken_back_has_stopped_nothing(machine, deployment):
    deploy(deployment, machine.launch("L1", machine.server(0)))
    before = deployment.process(0).state().pid
    deployment.begin_switch("L2")
    assert deployment.switching["launch"] == "L2"
    deployment.forget_switch()
    deployment.revert()
    assert deployment.process(0).state().pid == before


def test_what_cannot_be_stopped_is_still_to_be_put_back(machine, deployment, monkeypatch):
    deploy(deployment, machine.launch("L1", machine.server(0)))
    stage(deployment, machine.launch("L2", machine.server(0)), {}, {})
    switch(deployment, "L2")

    def stuck(*_):
        raise RemoteError(69, "process 0 cannot be ended")

    with monkeypatch.context() as patch:
        patch.setattr(changes, "stop_all", stuck)
        with pytest.raises(RemoteError, match="cannot be ended"):
            deployment.mend()
    assert deployment.mend() == {"problem": None}
    runs(deployment, {0: "L1"})


class PowerCutError(Exception):
    pass


class Fuse:
    """Lets some steps happen and cuts the power before the next one."""

    def __init__(self, patch, steps):
        self.left = steps
        for place, name in (
            (changes, "write_json"),
            (changes, "stop_all"),
            (processes.ProcessFolder, "start"),
            (processes.ProcessFolder, "started"),
            (shutil, "rmtree"),
            (Path, "unlink"),
        ):
            patch.setattr(place, name, self.counted(getattr(place, name)))

    def counted(self, function):
        def call(*args, **more):
            if self.left == 0:
                raise PowerCutError
            self.left -= 1
            return function(*args, **more)

        return call


def until_a_cut(steps, work):
    """Do something up to a step; tell whether it came to its end."""
    with pytest.MonkeyPatch.context() as patch:
        Fuse(patch, steps)
        try:
            work()
        except PowerCutError:
            return False
    return True


def mend(deployment):
    deployment.mend()
    deployment.tidy()
    assert deployment.switching is None
    current = deployment.current["launch"]
    wanted = {each["id"]: current for each in deployment.launch(current)["processes"]}
    runs(deployment, wanted)
    assert names(deployment.folder / "launches") == [current]


def change(deployment, launch):
    """All that is done to go from one launch to another."""
    stage(deployment, launch, {"secret": "x"}, {})
    switch(deployment, launch["launch"])
    assert deployment.ready(launch["launch"], 20.0, always, unheard) is None
    deployment.commit(launch["launch"])


def test_a_cut_between_any_two_steps_ends_on_the_old_or_on_the_new(machine, deployment):
    deploy(deployment, machine.launch("L0", machine.server(0), machine.server(1)))
    ends, steps, done = [], 0, False
    while not done:
        before, name = deployment.current["launch"], f"L{steps + 1}"
        launch = machine.launch(name, machine.server(0), machine.server(2))
        done = until_a_cut(steps, lambda launch=launch: change(machine.deployment(), launch))
        mend(machine.deployment())
        after = deployment.current["launch"]
        assert after in (before, name)
        ends.append(after == name)
        steps += 1
    # All steps up to one end on the old, and all from there on the new.
    assert ends == sorted(ends)
    assert ends[-1]
    assert not ends[0]
    assert len(ends) > 8


def test_a_cut_while_it_is_put_right(machine, deployment):
    deploy(deployment, machine.launch("L0", machine.server(0), machine.server(1)))
    steps, done = 0, False
    while not done:
        stage(deployment, machine.launch(f"L{steps + 1}", spec(0, *SLEEP)), {}, {})
        switch(deployment, f"L{steps + 1}")

        def put_right():
            machine.deployment().mend()
            machine.deployment().tidy()

        done = until_a_cut(steps, put_right)
        mend(machine.deployment())
        assert deployment.current["launch"] == "L0"
        steps += 1
    assert steps > 5


def test_a_commit_that_was_cut_off_before_its_last_step_is_one(machine, deployment):
    deploy(deployment, machine.launch("L1", machine.server(0)))
    stage(deployment, machine.launch("L2", machine.server(0)), {}, {})
    switch(deployment, "L2")
    journal = deployment.switching
    deployment.commit("L2")
    write_json(deployment.folder / "switching.json", journal)
    assert not deployment.status()["cut_off"]
    assert not machine.deployment().mend()
    runs(deployment, {0: "L2"})
    deploy(deployment, machine.launch("L3", machine.server(0)))
    runs(deployment, {0: "L3"})


def test_processes_are_in_the_order_of_their_numbers(machine, deployment):
    for number in (10, 9, 2):
        deployment.process(number).path.mkdir(parents=True)
    (deployment.folder / "processes" / "notes").mkdir()
    assert [folder.path.name for folder in deployment.folders()] == ["2", "9", "10"]
