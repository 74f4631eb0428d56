import contextlib
import json
import os
import socket
import stat
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from engine.errors import ConfigurationError, PeerUnavailableError
from engine.health import HealthServer, ask, main, parse_where, respond
from engine.health import server as health_server
from engine.metrics import PeerStats, ProcessStats, StepStats, WorkerStats


@pytest.fixture
def stats() -> ProcessStats:
    """A process that runs, with one worker."""
    worker = WorkerStats(0, steps={"flow.inp": StepStats("flow.inp", "input", items_out=3)})
    worker.state = "running"
    return ProcessStats(0, state="running", workers=[worker])


@contextlib.contextmanager
def served(where, stats):
    server = HealthServer(str(where), stats)
    server.start()
    with contextlib.closing(server):
        yield server


@pytest.fixture
def path(tmp_path, stats):
    """A socket on which a running process answers."""
    path = tmp_path / "health.sock"
    with served(path, stats):
        yield path


@contextlib.contextmanager
def connect(path: Path):
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(10)
        connection.connect(str(path))
        yield connection


def clients() -> list[threading.Thread]:
    """Threads that serve a client."""
    return [thread for thread in threading.enumerate() if thread.name == "health client"]


def wait_for_clients(count: int) -> None:
    """Wait until no more than `count` clients are served."""
    deadline = time.monotonic() + 10
    while len(clients()) > count:
        assert time.monotonic() < deadline, f"{len(clients())} clients are still served"
        clients()[0].join(0.01)


def dead_end(path: Path) -> None:
    """A socket as a process leaves it that was killed."""
    with socket.socket(socket.AF_UNIX) as left_over:
        left_over.bind(str(path))
        left_over.listen()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_running_process_is_alive_and_ready(path):
    assert ask(str(path), "livez") == (200, "ok\n")
    assert ask(str(path), "readyz") == (200, "ok\n")


def test_process_that_is_not_ready_says_why(path, stats):
    stats.state, stats.peers = "starting", {1: PeerStats("b:9000", reason="refused")}
    reason = "starting: waiting for process 1 at b:9000 (refused)\n"
    assert ask(str(path), "readyz") == (503, reason)
    assert ask(str(path), "livez") == (200, "ok\n")


def test_process_with_a_dead_worker_is_not_alive(path, stats):
    thread = threading.Thread(target=int)
    thread.start()
    thread.join()
    stats.workers[0].thread = thread
    assert ask(str(path), "livez") == (503, "the thread of worker 0 has died\n")


def test_status_is_json(path):
    code, text = ask(str(path), "status")
    assert code == 200
    assert json.loads(text)["items_in"] == 3


def test_metrics_are_what_prometheus_reads(path):
    code, text = ask(str(path), "metrics")
    assert code == 200
    assert "hostmesh_step_items" in {each.name for each in text_string_to_metric_families(text)}


def test_unknown_page_names_those_that_exist(path):
    code, text = ask(str(path), "nonsense")
    assert code == 404
    assert "livez, readyz, status, metrics" in text


@pytest.mark.parametrize("method", ["HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS"])
def test_only_get_is_answered(stats, method):
    answer = respond(f"{method} /livez HTTP/1.1\r\n\r\n".encode(), stats)
    assert answer.startswith(b"HTTP/1.0 405 ")


@pytest.mark.parametrize(
    "head", [b"\r\n\r\n", b"GET\r\n\r\n", b"\x16\x03\x01\xff\n\n", b"G /x HTTP/9.9\n\n"]
)
def test_what_is_no_http_is_never_answered_with_success(stats, head):
    assert b" 200 " not in respond(head, stats)


def test_answer_has_the_types_that_clients_expect(stats):
    def kind(page: str) -> str:
        head, _, body = respond(f"GET /{page}?x=1 HTTP/1.1\r\n\r\n".encode(), stats).partition(
            b"\r\n\r\n"
        )
        headers = dict(line.split(": ", 1) for line in head.decode().split("\r\n")[1:])
        assert int(headers["Content-Length"]) == len(body)
        return headers["Content-Type"]

    assert kind("livez") == "text/plain; charset=utf-8"
    assert kind("status") == "application/json; charset=utf-8"
    assert kind("metrics") == "text/plain; version=0.0.4; charset=utf-8"


def test_counters_that_cannot_be_shown_are_an_error_of_that_page_only(path, stats, caplog):
    stats.workers[0].steps["odd"] = None
    assert ask(str(path), "status") == (500, "AttributeError\n")
    del stats.workers[0].steps["odd"]
    assert ask(str(path), "status")[0] == 200


def test_only_the_owner_may_connect(path):
    assert stat.S_IMODE(path.lstat().st_mode) == 0o600


def test_close_removes_the_socket_and_may_be_repeated(tmp_path, stats):
    path = tmp_path / "health.sock"
    server = HealthServer(str(path), stats)
    server.close()
    server.start()
    assert path.exists()
    server.close()
    assert not path.exists()
    server.close()


def test_server_can_be_started_again(tmp_path, stats):
    server = HealthServer(str(tmp_path / "health.sock"), stats)
    for _ in range(2):
        server.start()
        assert ask(str(tmp_path / "health.sock"), "livez")[0] == 200
        server.close()


def test_close_ends_all_connections(tmp_path, stats):
    path = tmp_path / "health.sock"
    with contextlib.ExitStack() as stack:
        with served(path, stats):
            silent = [stack.enter_context(connect(path)) for _ in range(3)]
        for connection in silent:
            with contextlib.suppress(ConnectionResetError):
                assert connection.recv(1) == b""
        wait_for_clients(0)
    assert "health" not in {thread.name for thread in threading.enumerate()}


def test_socket_of_a_dead_process_is_replaced(tmp_path, stats):
    path = tmp_path / "health.sock"
    dead_end(path)
    with served(path, stats):
        assert ask(str(path), "livez") == (200, "ok\n")


def test_socket_of_a_live_process_is_refused_and_stays(path, stats):
    second = HealthServer(str(path), stats)
    with pytest.raises(PeerUnavailableError, match="a running process answers there already"):
        second.start()
    second.close()
    assert ask(str(path), "livez") == (200, "ok\n")


def test_socket_of_a_later_process_is_not_removed(tmp_path, stats):
    path = tmp_path / "health.sock"
    earlier, later = HealthServer(str(path), stats), HealthServer(str(path), stats)
    earlier.start()
    path.unlink()
    later.start()
    earlier.close()
    assert ask(str(path), "livez") == (200, "ok\n")
    later.close()
    assert not path.exists()


def test_close_leaves_what_has_replaced_the_socket(tmp_path, stats):
    path = tmp_path / "health.sock"
    with served(path, stats):
        path.unlink()
        path.write_text("mine")
    assert path.read_text() == "mine"


def test_file_that_is_no_socket_is_not_touched(tmp_path, stats):
    path = tmp_path / "notes.txt"
    path.write_text("mine")
    with pytest.raises(ConfigurationError, match="choose another path"):
        HealthServer(str(path), stats).start()
    assert path.read_text() == "mine"


def test_missing_folder_is_named(tmp_path, stats):
    with pytest.raises(PeerUnavailableError, match="No such file or directory"):
        HealthServer(str(tmp_path / "none" / "health.sock"), stats).start()


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="needs /proc")
def test_path_longer_than_an_address_can_hold(tmp_path, stats):
    folder = tmp_path / ("a" * 100) / ("b" * 100)
    folder.mkdir(parents=True)
    path = folder / "health.sock"
    with served(path, stats):
        assert stat.S_IMODE(path.lstat().st_mode) == 0o600
        assert ask(str(path), "livez") == (200, "ok\n")
    assert not path.exists()
    opened = {os.path.realpath(entry) for entry in Path("/proc/self/fd").iterdir()}
    assert str(folder) not in opened


def test_name_that_cannot_be_shortened_is_refused(tmp_path, stats):
    with pytest.raises(ConfigurationError, match="at most 107 bytes"):
        HealthServer(str(tmp_path / ("a" * 120)), stats).start()


def test_relative_path_does_not_follow_the_current_folder(tmp_path, stats, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with served("health.sock", stats):
        monkeypatch.chdir("/")
        assert ask(str(tmp_path / "health.sock"), "livez")[0] == 200
    assert not (tmp_path / "health.sock").exists()


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_loopback_port(host, stats):
    where = f"{host}:{free_port()}"
    with served(where, stats):
        assert ask(where, "livez") == (200, "ok\n")


def test_port_in_use_is_named(stats):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        where = f"127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(PeerUnavailableError, match="in use"):
            HealthServer(where, stats).start()


@pytest.mark.parametrize("where", ["0.0.0.0:9000", "192.168.1.10:9000", "alpha:9000", "[::]:9000"])
def test_address_beyond_loopback_is_refused(where, stats):
    with pytest.raises(ConfigurationError, match="only a loopback address"):
        HealthServer(where, stats)


@pytest.mark.parametrize("where", ["", "localhost:http", "127.0.0.1:0", ":9000", "a\0b"])
def test_what_is_neither_path_nor_address_is_refused(where):
    with pytest.raises(ConfigurationError):
        parse_where(where)


@pytest.mark.parametrize("where", ["/run/a:b.sock", "./a:1", "health.sock", "9000"])
def test_what_has_a_slash_or_no_colon_is_a_path(where):
    assert isinstance(parse_where(where), Path)


def test_client_that_says_nothing_is_dropped(path, monkeypatch):
    monkeypatch.setattr(health_server, "TIME_LIMIT", 0.05)
    with connect(path) as silent:
        assert silent.recv(1) == b""


def test_client_that_trickles_is_dropped(path, monkeypatch):
    monkeypatch.setattr(health_server, "TIME_LIMIT", 0.2)
    with connect(path) as trickle, contextlib.suppress(BrokenPipeError, ConnectionResetError):
        trickle.sendall(b"GET /livez HTTP/1.1\r\n")
        trickle.settimeout(0.01)
        for _ in range(1_000):
            trickle.sendall(b"x")
            with contextlib.suppress(TimeoutError):
                assert trickle.recv(1) == b""
                return
        pytest.fail("still connected")


def test_head_without_an_end_is_dropped(path):
    with connect(path) as endless, contextlib.suppress(BrokenPipeError, ConnectionResetError):
        for _ in range(100):
            endless.sendall(b"GET /" + b"x" * 1_000)
        assert endless.recv(1) == b""


def test_client_that_does_not_read_is_dropped(path, stats, monkeypatch):
    monkeypatch.setattr(health_server, "TIME_LIMIT", 0.05)
    steps = {str(number): StepStats(str(number)) for number in range(10_000)}
    stats.workers[0].steps = steps
    with connect(path) as deaf:
        deaf.sendall(b"GET /status HTTP/1.1\r\n\r\n")
        assert deaf.recv(1) == b"H"
        wait_for_clients(0)
        received = b"".join(iter(lambda: deaf.recv(1 << 16), b""))
    assert len(received) < len(json.dumps(stats.status(), indent=2))


def test_silent_connections_do_not_keep_others_out(path):
    with contextlib.ExitStack() as stack:
        silent = [stack.enter_context(connect(path)) for _ in range(100)]
        assert ask(str(path), "livez") == (200, "ok\n")
        assert silent[0].recv(1) == b""
        wait_for_clients(health_server.CONNECTION_LIMIT)


@pytest.mark.parametrize("error", [OSError("no descriptors"), RuntimeError("no threads")])
def test_connection_that_cannot_be_taken_waits_for_better_times(path, monkeypatch, error):
    accept, errors = HealthServer._accept, [error]

    def fail_once(self, listener):
        if errors:
            raise errors.pop()
        accept(self, listener)

    monkeypatch.setattr(HealthServer, "_accept", fail_once)
    assert ask(str(path), "livez") == (200, "ok\n")
    assert not errors


def test_client_for_which_there_is_no_thread_is_hung_up_on(path, monkeypatch):
    start = threading.Thread.start

    def no_thread(thread):
        if thread.name == "health client":
            message = "can't start new thread"
            raise RuntimeError(message)
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", no_thread)
    with connect(path) as client:
        assert client.recv(1) == b""
    monkeypatch.undo()
    assert ask(str(path), "livez") == (200, "ok\n")


def test_two_requests_in_one_go_get_one_answer(path):
    with connect(path) as client:
        client.sendall(b"GET /livez HTTP/1.1\r\n\r\n" * 2)
        received = b"".join(iter(lambda: client.recv(4_096), b""))
    assert received.count(b"HTTP/1.0 ") == 1


def test_head_in_pieces_is_answered(path):
    with connect(path) as client:
        for piece in (b"GET /li", b"vez HTTP/1.1\r", b"\n\r", b"\n"):
            client.sendall(piece)
        received = b"".join(iter(lambda: client.recv(4_096), b""))
    assert received.endswith(b"\r\n\r\nok\n")


def test_ask_where_nobody_is(tmp_path):
    for where in (str(tmp_path / "none.sock"), f"127.0.0.1:{free_port()}"):
        with pytest.raises(PeerUnavailableError, match="no process answers at"):
            ask(where, "livez")
    dead_end(tmp_path / "dead.sock")
    with pytest.raises(PeerUnavailableError, match="refused"):
        ask(str(tmp_path / "dead.sock"), "livez")


def test_ask_a_process_that_is_frozen(tmp_path):
    with socket.socket(socket.AF_UNIX) as frozen:
        frozen.bind(str(tmp_path / "frozen.sock"))
        frozen.listen()
        with pytest.raises(PeerUnavailableError, match="timed out"):
            ask(str(tmp_path / "frozen.sock"), "livez", time_limit=0.05)


def test_ask_what_is_no_http_server(tmp_path):
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "other.sock"))
        listener.listen()

        def answer() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.recv(4_096)
                connection.sendall(b"220 smtp\r\n")

        thread = threading.Thread(target=answer)
        thread.start()
        with pytest.raises(PeerUnavailableError, match="no process answers"):
            ask(str(tmp_path / "other.sock"), "livez")
        thread.join()


def test_command_prints_the_answer(path, capsys):
    assert main([str(path)]) == 0
    assert json.loads(capsys.readouterr().out)["state"] == "running"
    assert main([str(path), "livez"]) == 0
    assert capsys.readouterr().out == "ok\n"


def test_command_tells_the_reason_on_stderr(path, stats, capsys):
    stats.state, stats.last_error = "failed", "ValueError: bad row 17"
    assert main([str(path), "readyz"]) == 69
    assert capsys.readouterr() == ("", "failed: ValueError: bad row 17\n")


def test_command_where_nobody_answers(tmp_path, capsys):
    path = tmp_path / "none.sock"
    assert main([str(path), "livez"]) == 69
    expected = f"error: no process answers at {path}: No such file or directory\n"
    assert capsys.readouterr() == ("", expected)


@pytest.mark.parametrize(
    "arguments",
    [[], ["a.sock", "nonsense"], ["a.sock", "livez", "x"], ["10.0.0.1:80"], ["", "livez"]],
)
def test_wrong_usage(arguments, capsys):
    with pytest.raises(SystemExit) as exit_:
        main(arguments)
    assert exit_.value.code == 64
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("usage: python -m engine.health")
    assert "error: " in err


def test_help_names_pages_and_exit_codes(capsys):
    with pytest.raises(SystemExit) as exit_:
        main(["--help"])
    assert exit_.value.code == 0
    text = capsys.readouterr().out
    assert all(word in text for word in ("livez", "readyz", "status", "metrics", "64", "69"))


def test_module_runs_as_a_program(path):
    ran = subprocess.run(
        [sys.executable, "-P", "-m", "engine.health", path, "livez"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "ok\n", "")


def test_process_that_is_never_asked_does_not_import_http(tmp_path):
    program = (
        "import sys; from engine.health import HealthServer;"
        "from engine.metrics import ProcessStats;"
        f"server = HealthServer({str(tmp_path / 'health.sock')!r}, ProcessStats(0));"
        "server.start(); server.close();"
        "sys.exit(any(name in sys.modules for name in ('http', 'ssl', 'json', 'argparse')))"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
