import json
import os
import socket
import threading
import time
from pathlib import Path

import pytest

from ctl.remote import probes
from ctl.remote.probes import Answer, Asked

STATUS = {"ready": True, "reason": "", "items_in": 3, "items_out": 4, "last_error": None}


@pytest.fixture
def process(tmp_path):
    """Has a process answer with given bytes; gives the probe."""
    folder = tmp_path / ("deep" * 40)
    folder.mkdir()
    listeners = []

    def serve(listener, answer):
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with connection:
                asked = connection.recv(4096)
                assert asked.startswith(b"GET /status HTTP/1.0\r\n")
                if answer is None:
                    connection.recv(4096)
                else:
                    connection.sendall(answer)

    def make(answer):
        listener = socket.socket(socket.AF_UNIX)
        listeners.append(listener)
        with pytest.MonkeyPatch.context() as patch:
            patch.chdir(folder)
            listener.bind("health.sock")
        listener.listen()
        threading.Thread(target=serve, args=(listener, answer), daemon=True).start()
        return {"kind": "health", "socket": str(folder / "health.sock")}

    yield make
    for each in listeners:
        each.shutdown(socket.SHUT_RDWR)
        each.close()


def ask(probe):
    return probes.ask(probe, Asked(os.getpid(), Path()))


def http(value, status="200 OK"):
    return f"HTTP/1.0 {status}\r\n\r\n{json.dumps(value)}".encode()


def test_a_process_that_is_ready(process):
    """The path of its socket is longer than such a path can be."""
    assert ask(process(http(STATUS))) == Answer(True, "", 3, 4, None)


def test_a_process_that_is_not(process):
    answer = ask(process(http({**STATUS, "ready": False, "reason": "no peer", "last_error": "x"})))
    assert answer == Answer(False, "no peer", 3, 4, "x")


@pytest.mark.parametrize(
    "answer",
    [b"\0\xff", b"HTTP/1.0 200 OK\r\n\r\n{", http([]), http({}), http(None), b"SSH-2.0\r\n"],
)
def test_an_answer_that_is_none(process, answer):
    got = ask(process(answer))
    assert not got.ready
    assert got.reason.startswith("it does not answer")


def test_a_process_that_says_nothing(process, monkeypatch):
    monkeypatch.setattr(probes, "_TIME_LIMIT", 0.1)
    started = time.monotonic()
    assert ask(process(None)).reason == "it does not answer (timed out)"
    assert time.monotonic() - started < 2.0


def test_no_such_socket(tmp_path):
    for path in (tmp_path / "health.sock", tmp_path / "no" / "health.sock"):
        answer = ask({"kind": "health", "socket": str(path)})
        assert answer == Answer(ready=False, reason="it is starting")


def test_nobody_listens_any_more(tmp_path):
    with socket.socket(socket.AF_UNIX) as left, pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path)
        left.bind("health.sock")
    answer = ask({"kind": "health", "socket": str(tmp_path / "health.sock")})
    assert answer == Answer(ready=False, reason="it is starting")
