"""How processes are asked whether they are ready."""

import http.server
import os
import socket
import threading

import pytest

from ctl.remote import monitoring
from ctl.remote.joined import Joined, file_name
from ctl.remote.logfile import LogWriter
from ctl.remote.probes import Answer, Asked, ask


@pytest.fixture
def asked(tmp_path):
    return Asked(os.getpid(), tmp_path / "log")


def test_what_does_not_run_is_not_ready(tmp_path):
    answer = ask({"kind": "at_once"}, Asked(None, tmp_path))
    assert (answer.ready, answer.reason) == (False, "it is not started yet")


def test_at_once(asked):
    assert ask({"kind": "at_once"}, asked).ready


def test_tcp(asked):
    listener = socket.create_server(("127.0.0.1", 0))
    probe = {"kind": "tcp", "address": list(listener.getsockname())}
    assert ask(probe, asked).ready
    listener.close()
    answer = ask(probe, asked)
    assert not answer.ready
    assert "nothing listens on 127.0.0.1:" in answer.reason


def test_http(asked):
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200 if self.path == "/healthz" else 503)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_):
            pass

    with http.server.HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        probe = {"kind": "http", "address": list(server.server_address), "url": "/healthz"}
        assert ask(probe, asked).ready
        answer = ask({**probe, "url": "/other"}, asked)
        assert (answer.ready, answer.reason.endswith("answers with 503")) == (False, True)
        server.shutdown()
        thread.join()
    assert "does not answer yet" in ask(probe, asked).reason


def test_a_line_of_the_log(asked):
    log = LogWriter(asked.log)
    log.write(b"o", [b"listening on 9000"], 0.0)
    start = log.cursor
    probe = {"kind": "log", "pattern": "^listening"}
    assert ask(probe, asked).ready
    # What was written before the start does not count.
    assert not ask(probe, asked._replace(log_start=start)).ready
    log.write(b"e", [b"not listening", b"listening"], 1.0)
    assert ask(probe, asked._replace(log_start=start)).ready
    log.close()


def test_connections(asked):
    probe = {"kind": "connections", "process": 1, "addresses": [["127.0.0.1", 1], ["127.0.0.1", 2]]}
    answer = ask(probe, asked)
    assert not answer.ready
    assert answer.reason == "no connection with process 0 (127.0.0.1:1)"


def test_a_connection_that_a_relay_holds_is_none(asked, tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as relay:
        place = relay.getsockname()
        probe = {
            "kind": "connections",
            "process": 1,
            "addresses": [place, ["127.0.0.1", 2]],
            "hosts": ["alpha", "beta"],
        }
        with socket.create_connection(place) as connection:
            asked = asked._replace(pid=os.getpid())
            assert ask(probe, asked).ready
            probe["relayed"] = str(tmp_path)
            absent = f"no connection with process 0 on alpha (127.0.0.1:{place[1]})"
            assert ask(probe, asked).reason == absent
            Joined(tmp_path / file_name(1), [0]).add(0, connection.getsockname()[1])
            assert ask(probe, asked).ready


class _Page(http.server.BaseHTTPRequestHandler):
    text = b""

    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Length", str(len(self.text)))
        self.end_headers()
        self.wfile.write(self.text)

    def log_message(self, *_):
        pass


@pytest.mark.parametrize(
    ("text", "lag"),
    [
        (b"input_latency_ms 3\noutput_latency_ms 1250\n# EOF", 1.25),
        (b"output_latency_ms -1\n", None),
        (b"", None),
    ],
)
def test_how_far_it_is_behind(asked, text, lag):
    page = type("Page", (_Page,), {"text": text})
    with http.server.HTTPServer(("127.0.0.1", 0), page) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        probe = {"kind": "at_once", "monitoring": server.server_port}
        assert ask(probe, asked) == Answer(ready=True, lag_s=lag)
        other = Asked(os.getppid(), asked.log)
        assert ask(probe, other).lag_s is None, "the page is another process's"
        server.shutdown()
        thread.join()
    assert ask(probe, asked) == Answer(ready=True)


def test_a_page_that_never_answers(asked, monkeypatch):
    monkeypatch.setattr(monitoring, "_SECONDS", 0.1)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        probe = {"kind": "at_once", "monitoring": listener.getsockname()[1]}
        assert ask(probe, asked) == Answer(ready=True)
