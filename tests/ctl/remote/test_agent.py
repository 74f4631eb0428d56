import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from contextlib import ExitStack
from pathlib import Path

import pytest

from ctl.errors import (
    BusyError,
    CannotWriteError,
    CtlError,
    FlowError,
    LostError,
    UnreachableError,
    VersionError,
)
from ctl.inventory import Host
from ctl.layers import Entry, Layer, agent_layer, agent_sources
from ctl.remote import conversation
from ctl.remote.agent import Agent
from ctl.remote.bootstrap import COMMAND
from ctl.remote.deployments import Deployment
from ctl.remote.frames import Decoder, Message, encode
from ctl.remote.root import Root
from ctl.transport import session as operator
from ctl.transport.local import LocalChannel
from ctl.transport.session import Session
from tests.ctl.remote.machine import marked, shell, spec
from tests.engine.running import eventually, free_ports

WHO = {"user": "ada", "host": "laptop", "command": "deploy", "since": "2026-11-24T18:39:58Z"}
UP = "echo up; exec sleep 600"


@pytest.fixture(scope="module")
def agent():
    return agent_layer()


@pytest.fixture
def root(tmp_path):
    return Root(str(tmp_path / "ro ot"))


@pytest.fixture
def opened(marking, agent, root):
    """Begins sessions on this machine."""
    with ExitStack() as stack:

        def begin(command=COMMAND, python=sys.executable, **more):
            channel = LocalChannel(command)
            stack.callback(channel.close)
            host = Host("here", "local", python=python, root=str(root.path), **more)
            session = Session(host, channel, agent)
            stack.callback(session.close)
            return session

        yield begin


@pytest.fixture
def session(opened):
    return opened()


def ready(number, name="flights"):
    """A process that ends at once would be ready too; this one goes on without answering."""
    socket = {"place": ["deployments", name, "processes", number, "health.sock"], "then": ""}
    return spec(number, *shell(UP), socket=socket)


class Deploy:
    """What an operator does, step by step."""

    def __init__(self, session, agent):
        self._session, self._agent = session, agent

    def stage(self, launch, *processes, **more):
        message = {"launch": launch, "release": f"release-of-{launch}", "agent": self._agent.digest}
        manifest = {"layers": {"agent": self._agent.digest}}
        message |= {"manifest": manifest, "processes": processes, "checks": [], "links": {}}
        self._session.ask("stage", launch=message | more, files={"tls/ca.pem": "x"}, secrets={})

    def prepare(self, launch, *processes, lock=True, **more):
        if lock:
            self._session.ask("lock", deployment="flights", who=WHO)
        layers = [self._agent.digest]
        looked = self._session.ask("look", deployment="flights", layers=layers, release="r")
        for _ in looked["missing"]:
            self._session.push(self._agent, lambda _: None)
        self.stage(launch, *processes, **more)

    def switch(self, launch, *processes):
        self.prepare(launch, *processes)
        self._session.ask("begin_switch", launch=launch)
        self._session.ask("switch", launch=launch, grace=5.0)

    def commit(self, launch, *processes):
        self.switch(launch, *processes)
        self._session.ask("commit", launch=launch)
        self._session.ask("unlock")


@pytest.fixture
def deploy(session, agent):
    return Deploy(session, agent)


def launches(root):
    """Launches of the processes that run here."""
    states = [folder.state() for folder in Deployment(root, "flights").folders()]
    return [state.launch for state in states if state.state == "running" and state.pid]


def put_back(root, launch):
    """Wait until only a launch is there, and nobody has the lock."""
    there = Deployment(root, "flights")
    eventually(lambda: launches(root) == [launch], f"{launch} to run again")
    eventually(lambda: there.status()["changing"] is None, "the lock to be free")
    assert there.switching is None
    assert there.status()["current"]["launch"] == launch
    eventually(
        lambda: [each.name for each in (there.folder / "launches").iterdir()] == [launch], ""
    )


# Beginning.


def test_a_session_on_a_host_where_nothing_is(session, root):
    assert session.facts["python"] == list(sys.version_info[:3])
    assert session.facts["root"] == str(root.path)
    assert not session.facts["agent_installed"]
    assert abs(session.clock_offset_s) < 30
    assert not root.path.exists()


def test_a_session_where_the_agent_is_installed(session, deploy, opened):
    deploy.commit("L1", spec(0, *shell("exit 0")))
    session.close()
    assert opened().facts["agent_installed"]


@pytest.mark.parametrize(
    "noise",
    [
        "echo Welcome; ",
        "printf Welcome; ",
        "printf 'no end'; echo trouble >&2; ",
        r"printf '\377\000{}\r\n'; ",
        "seq 20000; ",
        "exec 2>&-; ",
    ],
)
def test_what_login_scripts_print(opened, noise):
    assert opened(noise + COMMAND).ask("hush") is None


@pytest.mark.parametrize("name", ["sh", "dash", "bash", "zsh", "ksh", "csh", "tcsh", "fish"])
def test_login_shells(opened, name):
    program = shutil.which(name)
    if program is None:
        pytest.skip(f"no {name}")
    # As sshd does it, with the command as one word.
    quoted = COMMAND.replace("'", "'\\''")
    assert opened(f"exec {program} -c '{quoted}'").ask("hush") is None


@pytest.fixture
def wrapper(tmp_path):
    """A Python with spaces and more in its name."""
    path = tmp_path / "bin $(exit)" / "py 'th\"on"
    path.parent.mkdir()
    path.write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')
    path.chmod(0o755)
    return path


def test_an_interpreter_with_spaces_in_its_name(opened, wrapper):
    assert opened(python=str(wrapper)).ask("hush") is None


def test_an_interpreter_in_the_home_folder(opened, wrapper, monkeypatch):
    monkeypatch.setenv("HOME", str(wrapper.parent.parent))
    assert opened(python=f"~/{wrapper.parent.name}/{wrapper.name}").ask("hush") is None


@pytest.mark.parametrize("python", ["python9.99", "/no/such python", "~/nowhere", "$(echo sh)", ""])
def test_no_python(opened, python):
    with pytest.raises(VersionError) as caught:
        opened(python=python)
    assert caught.value.problem == f"no Python: there is no `{python}`"
    assert caught.value.fix == "set `python` of here in the inventory"


PYENV = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"


@pytest.mark.parametrize("version", ["2.7", "3.6", "3.8", "3.10"])
def test_a_python_that_is_too_old(opened, version):
    for python in PYENV.glob(f"{version}.*/bin/python"):
        with pytest.raises(VersionError) as caught:
            opened(python=str(python))
        shown = python.parent.parent.name
        assert caught.value.problem == f"Python {shown}, too old; 3.11 or newer is needed"
        return
    pytest.skip(f"no Python {version}")


def test_what_is_no_python(opened):
    with pytest.raises(LostError, match="`false` did not start: it said nothing"):
        opened(python="false")


def test_a_login_that_is_refused(opened):
    with pytest.raises(LostError, match="This account is not available"):
        opened("echo 'This account is not available' >&2; exit 1")
    with pytest.raises(LostError, match="Go away"):
        opened("echo 'Go away'; exit 1")


def test_a_login_that_waits(opened, monkeypatch):
    monkeypatch.setattr(operator, "_BEGIN_SECONDS", 0.2)
    with pytest.raises(LostError, match="did not start in"):
        opened("sleep 600")


def test_nothing_of_the_inventory_is_in_a_command_line(opened, root):
    opened()
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            assert os.fsencode(root.path) not in path.read_bytes()
        except OSError:
            continue


# Asking.


def test_an_error_has_its_class_and_text(deploy, session):
    check = {"argv": list(shell("echo 'error: no' >&2; exit 65")), "env": {}, "cwd": None}
    with pytest.raises(FlowError) as caught:
        deploy.prepare("L1", checks=[check | {"ready": {}}])
    assert caught.value.problem == "no"
    assert session.ask("hush") is None


def test_a_bug_is_told_and_ends_nothing(session):
    with pytest.raises(CtlError, match="a bug of hostmesh on this host: AttributeError"):
        session.ask("dance")
    with pytest.raises(CtlError, match="a bug of hostmesh on this host: AssertionError"):
        session.ask("commit", launch="L1")
    assert session.ask("hush") is None


def test_ports(session):
    places = [["127.0.0.1", port] for port in free_ports(2)]
    assert session.ask("listen", places=places) == [None, None]
    assert session.ask("dial", places=places, timeout=5.0) == [None, None]
    session.ask("hush")
    assert None not in session.ask("dial", places=places, timeout=5.0)


def test_a_layer_of_any_size(session, root):
    content = os.urandom(3 << 20)
    layer = Layer.of("code", [Entry.of("big", content), Entry.of("ä b", b"")])
    sent = []
    session.ask("lock", deployment="flights", who=WHO)
    session.push(layer, sent.append)
    assert sum(sent) >= len(content)
    assert (root.layer(layer.digest) / "big").read_bytes() == content


def test_a_layer_that_cannot_be_read(session, tmp_path, root):
    """The host waits for the rest of it, and is told that there is none."""
    path = tmp_path / "flow.py"
    path.write_text("before")
    layer = Layer.of("code", [Entry.of("big", os.urandom(1 << 20)), Entry.of("flow.py", path)])
    path.write_text("after!")
    session.ask("lock", deployment="flights", who=WHO)
    with pytest.raises(FlowError, match="changed while it was being pushed"):
        session.push(layer, lambda _: None)
    session.ask("unlock")
    assert session.ask("hush") is None
    assert not root.path.exists()


def test_a_push_to_where_nothing_can_be_written(session, root, agent):
    root.path.write_text("in the way")
    layer = Layer.of("code", [Entry.of("big", os.urandom(2 << 20))])
    with pytest.raises(CannotWriteError, match="Not a directory"):
        session.push(layer, lambda _: None)
    assert session.ask("hush") is None


# All or nothing.


def test_one_of_two_operators_has_the_lock(opened):
    one, other = opened(), opened()
    one.ask("lock", deployment="flights", who=WHO)
    with pytest.raises(BusyError) as caught:
        other.ask("lock", deployment="flights", who={"user": "bob"})
    assert "being changed by ada on laptop (ctl deploy)" in caught.value.problem
    other.ask("lock", deployment="another", who=WHO)
    one.ask("unlock")
    opened().ask("lock", deployment="flights", who=WHO)


def test_a_first_deploy_that_fails_leaves_nothing(deploy, session, root):
    deploy.switch("L1", ready(0))
    eventually(lambda: launches(root) == ["L1"], "the process")
    session.ask("unlock")
    assert not root.path.exists()


def test_a_deploy_that_fails_leaves_what_was_there(deploy, session, root):
    deploy.commit("L1", ready(0))
    eventually(lambda: launches(root) == ["L1"], "the process")
    before = sorted(root.path.rglob("*"))
    deploy.switch("L2", ready(0))
    session.push(Layer.of("code", [Entry.of("flow.py", b"new")]), lambda _: None)
    session.ask("unlock")
    put_back(root, "L1")
    names = {path for path in root.path.rglob("*") if ".json" not in path.name}
    assert names == {path for path in before if ".json" not in path.name}


def test_a_layer_that_another_deployment_has_come_to_need_stays(
    deploy, session, opened, agent, root
):
    session.ask("lock", deployment="flights", who=WHO)
    session.push(agent, lambda _: None)
    other = opened()
    other.ask("lock", deployment="another", who=WHO)
    launch = {"launch": "L1", "release": "r1", "agent": agent.digest, "processes": []}
    manifest = {"layers": {"agent": agent.digest}}
    launch |= {"manifest": manifest, "checks": [], "links": {}}
    other.ask("stage", launch=launch, files={}, secrets={})
    other.ask("commit", launch="L1")
    session.ask("unlock")
    assert root.has(agent.digest)


def test_the_operator_is_gone_before_the_commit(deploy, session, root):
    deploy.commit("L1", ready(0))
    deploy.switch("L2", ready(0))
    eventually(lambda: launches(root) == ["L2"], "the process")
    session.close()
    put_back(root, "L1")


def test_the_operator_is_gone_during_a_first_deploy(deploy, session, root):
    deploy.switch("L1", ready(0))
    session.close()
    eventually(lambda: not root.path.exists(), "the end of all that was brought")


def test_the_operator_is_gone_after_the_commit(deploy, session, root):
    deploy.switch("L1", ready(0))
    session.ask("commit", launch="L1")
    session.close()
    put_back(root, "L1")


def test_processes_outlive_the_session(deploy, session, root, opened):
    deploy.commit("L1", ready(0))
    eventually(lambda: launches(root) == ["L1"], "the process")
    session.close()
    other = opened()
    (process,) = other.ask("status", deployment="flights")["processes"]
    assert process["pid"]
    other.ask("lock", deployment="flights", who=WHO)
    (ended,) = other.ask("stop", grace=5.0)
    assert (ended["state"], ended["signal"]) == ("stopped", signal.SIGTERM)


def agent_of(session):
    """Process ID of the session on the host."""
    (found,) = [
        int(path.parent.name)
        for path in Path("/proc").glob("[0-9]*/cmdline")
        if int(path.parent.name) in marked(os.environ["HOSTMESH_TEST"])
        and b"importlib" in path.read_bytes()
    ]
    return found


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_the_session_on_the_host_is_killed(deploy, session, opened, root, number):
    deploy.commit("L1", ready(0))
    deploy.switch("L2", ready(0))
    os.kill(agent_of(session), number)
    with pytest.raises(LostError, match=r"connection lost|has ended"):
        session.ask("ready", launch="L2", timeout=60.0)
    if number == signal.SIGKILL:
        other = opened()
        assert other.ask("status", deployment="flights")["cut_off"]
        answer = other.ask("lock", deployment="flights", who=WHO)
        assert answer["mended"] == {"problem": None}
        other.ask("unlock")
    put_back(root, "L1")


def test_a_question_that_is_given_up(deploy, session):
    deploy.switch("L1", ready(0))
    said = threading.Event()
    asking = threading.Thread(
        target=lambda: session.ask(
            "ready", launch="L1", timeout=600.0, on_event=lambda *_: said.set()
        )
    )
    asking.start()
    assert said.wait(30)
    session.interrupt()
    asking.join(30)
    assert session.is_idle(30)
    with pytest.raises(UnreachableError, match=r"not ready after 0\.1 s"):
        session.ask("ready", launch="L1", timeout=0.1)


def test_logs_of_a_session(deploy, session):
    deploy.commit("L1", spec(0, *shell("seq 100000")))
    eventually(
        lambda: session.ask("status", deployment="flights")["processes"][0]["state"] == "finished",
        "the end",
    )
    got = [data for _, data in session.stream("logs", deployment="flights", wanted={})]
    assert len(b"".join(got).splitlines()) == 100_000
    # One that is given up in the middle is in nobody's way.
    for _ in session.stream("logs", deployment="flights", wanted={"follow": True}):
        break
    assert session.ask("hush") is None


# Silence, on a short clock.


class Pipes:
    """A session in a thread, and the operator's ends of its pipes."""

    def __init__(self, root):
        theirs, self.send_fd = os.pipe()
        self.receive_fd, out = os.pipe()
        self._theirs = theirs, out
        self._agent = Agent(root, "0" * 64, (theirs, out))
        self._thread = threading.Thread(target=self._agent.run, daemon=True)
        self._decoder, self._got = Decoder(), []
        self._thread.start()

    def send(self, **message):
        os.write(self.send_fd, encode(message))

    def receive(self):
        """The next message that is no beat."""
        while True:
            while self._got:
                message, data = self._got.pop(0)
                if "beat" not in message:
                    return message, data
            self._got += self._decoder.feed(os.read(self.receive_fd, 1 << 16))

    @property
    def over(self):
        return not self._thread.is_alive()

    def close(self):
        for fd in (self.send_fd, self.receive_fd):
            os.close(fd)
        self._thread.join(30)
        for fd in self._theirs:
            os.close(fd)


@pytest.fixture
def pipes(root, monkeypatch):
    monkeypatch.setattr(conversation, "SILENCE_SECONDS", 0.4)
    monkeypatch.setattr(conversation, "BEAT_SECONDS", 0.05)
    made = Pipes(root)
    yield made
    made.close()


def test_a_silent_operator_is_gone(pipes, root):
    pipes.send(id=1, do="lock", **{"with": {"deployment": "flights", "who": WHO}})
    assert "hello" in pipes.receive()[0]
    assert pipes.receive()[0] == {"id": 1, "result": {"mended": None, "current": None}}
    assert root.path.exists()
    eventually(lambda: pipes.over, "the end")
    assert not root.path.exists()


def test_an_operator_who_beats_is_there(pipes):
    until = time.monotonic() + 1.0

    def beaten():
        pipes.send(beat=True)
        return time.monotonic() > until

    eventually(beaten, "a second")
    assert not pipes.over
    eventually(lambda: pipes.over, "the end")


def test_an_operator_who_reads_no_more_blocks_nothing(pipes, root):
    """The pipe is full, and nothing is heard either."""
    log = root.deployment("flights") / "processes" / "0" / "log"
    log.mkdir(parents=True)
    line = b"2026-11-24T18:39:58.123456Z o " + b"x" * 1000 + b"\n"
    (log / "000001.log").write_bytes(line * 5000)
    pipes.send(id=1, do="logs", **{"with": {"deployment": "flights", "wanted": {"follow": True}}})
    eventually(lambda: pipes.over, "the end")


def test_a_beat_does_not_wait_for_room(pipes):
    """Else nobody would find out that the operator is gone."""
    os.set_blocking(pipes._theirs[1], False)
    try:
        while True:
            os.write(pipes._theirs[1], b"x" * 4096)
    except BlockingIOError:
        os.set_blocking(pipes._theirs[1], True)
    eventually(lambda: pipes.over, "the end")


def test_beats_come_while_a_long_message_does(pipes):
    assert "hello" in pipes.receive()[0]
    frame = encode({"id": 1, "do": "hush"}, b"x" * 100)
    decoder, beats = Decoder(), 0
    for start in range(0, len(frame), 10):
        os.write(pipes.send_fd, frame[start : start + 10])
        for message, _ in decoder.feed(os.read(pipes.receive_fd, 1 << 16)):
            beats += "beat" in message
    assert beats > 3


def test_nonsense_ends_the_session(pipes):
    os.write(pipes.send_fd, b"\xff" * 100)
    eventually(lambda: pipes.over, "the end", 0.3)


# The operator's end.


class Silent:
    """A channel on which nothing comes any more, with little room for what goes."""

    complaint = ""

    def __init__(self, begins=b""):
        self._begins = begins
        self._closed = threading.Event()

    def send(self, data):
        if len(data) > 10_000:
            self._closed.wait()
            raise LostError("closed")

    def receive(self, limit):
        begins, self._begins = self._begins, b""
        if not begins:
            self._closed.wait()
        return begins

    def close(self):
        self._closed.set()


@pytest.fixture
def unheard(monkeypatch, agent):
    """A session with a host that greets and then falls silent."""
    monkeypatch.setattr(operator, "_SILENCE_SECONDS", 0.3)
    monkeypatch.setattr(operator, "_BEAT_SECONDS", 0.05)
    monkeypatch.setattr("secrets.token_hex", lambda _: "mark")
    hello = encode({"hello": {"time": time.time()}})
    channel = Silent(b'\nmark {"version": [3, 11, 2]}\n' + hello)
    session = Session(Host("beta"), channel, agent)
    yield session
    session.close()


def test_a_host_that_falls_silent_is_lost(unheard):
    with pytest.raises(LostError, match=r"nothing heard for 0\.3 s"):
        unheard.ask("status", deployment="flights")


def test_a_push_to_a_host_that_is_gone_ends(unheard):
    layer = Layer.of("code", [Entry.of("big", os.urandom(4 << 20))])
    with pytest.raises(LostError):
        unheard.push(layer, lambda _: None)
    with pytest.raises(LostError):
        unheard.ask("hush")


def test_a_reader_who_pauses_loses_nothing(deploy, session, monkeypatch):
    """A pager that waits for a key is no silence of the host."""
    deploy.commit("L1", spec(0, *shell("seq 1000000")))
    eventually(
        lambda: session.ask("status", deployment="flights")["processes"][0]["state"] == "finished",
        "the end",
    )
    lines = session.stream("logs", deployment="flights", wanted={})
    got = next(lines)[1] or next(lines)[1]
    # The host shows life every two seconds.
    monkeypatch.setattr(operator, "_SILENCE_SECONDS", 4.0)
    until = time.monotonic() + 5.0
    eventually(lambda: time.monotonic() > until, "a pause")
    assert len((got + b"".join(data for _, data in lines)).splitlines()) == 1_000_000


def test_a_beat_that_comes_before_what_a_bare_host_has_asked_for(tmp_path):
    """Where many hosts are connected to at once, it may take its time."""
    layer = agent_layer()
    wanted = {"root": str(tmp_path / "root"), "agent": layer.digest}
    frames = encode(wanted), encode({"beat": True}), encode({}, agent_sources(layer))
    boot = Path(conversation.__file__).with_name("boot.py")
    words = [sys.executable, "-I", "-S", "-X", "utf8", str(boot), "mark"]
    pipe = subprocess.PIPE
    with subprocess.Popen(words, stdin=pipe, stdout=pipe, bufsize=0) as session:
        assert session.stdin is not None
        assert session.stdout is not None
        session.stdin.write(b"".join(frames))
        assert session.stdout.readline() == b"\n"
        assert session.stdout.readline().startswith(b"mark ")
        decoder = Decoder()
        messages: list[Message] = []
        while len(messages) < 2 and (said := session.stdout.read(1 << 16)):
            messages += [message for message, _ in decoder.feed(said)]
        session.stdin.close()
    need, hello = messages
    assert need == {"need": "agent"}
    assert hello["hello"]["agent_installed"] is False


def test_boot_needs_no_syntax_that_old_pythons_lack():
    """Whichever version answers, it says which one it is."""
    boot = Path(conversation.__file__).with_name("boot.py")
    for python in PYENV.glob("[23].*/bin/python"):
        done = subprocess.run(
            [python, "-E", "-s", "-S", boot, "mark"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=True,
        )
        assert done.stdout.startswith(b"\nmark {")
