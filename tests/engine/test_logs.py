import io
import json
import logging
import logging.config
import re
import subprocess
import sys
import threading
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from engine import logs
from engine.errors import ConfigurationError

TEXT = re.compile(r"\d\d:\d\d:\d\d\.\d{3} ")
FIELDS = {"time", "level", "process", "worker", "step", "logger", "message", "exc"}


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def untouched(monkeypatch):
    """Levels and environment as a new process has them, and all as before after the test."""
    engine = logging.getLogger("engine")
    monkeypatch.delenv("ENGINE_LOG_FORMAT", raising=False)
    monkeypatch.delenv("ENGINE_LOG_LEVEL", raising=False)
    before = [(each, each.level, each.propagate) for each in (logging.root, engine)]
    enabled = [logging.getLogger(name) for name in logging.root.manager.loggerDict]
    logging.root.setLevel(logging.WARNING)
    yield
    for logger, level, propagate in before:
        for handler in list(logger.handlers):
            if type(handler) in (logs.Handler, logging.StreamHandler):
                logger.removeHandler(handler)
        logger.setLevel(level)
        logger.propagate = propagate
    for logger in enabled:
        logger.disabled = False
    logs.context.worker = logs.context.step = None


@pytest.fixture
def stderr(monkeypatch) -> Callable[[], str]:
    """Gives what was logged to stderr, a pipe or a file."""
    stream = io.StringIO()
    monkeypatch.setattr(logs, "sys", SimpleNamespace(stderr=stream))
    return stream.getvalue


@pytest.fixture
def terminal(monkeypatch) -> Callable[[], str]:
    """Gives what was logged to stderr, a terminal."""
    stream = Terminal()
    monkeypatch.setattr(logs, "sys", SimpleNamespace(stderr=stream))
    return stream.getvalue


def as_in_a_new_process() -> None:
    """Take from the root logger the handlers that pytest gives it when a test begins."""
    logging.root.handlers.clear()


def only(text: str) -> dict[str, Any]:
    (line,) = text.splitlines()
    fields: dict[str, Any] = json.loads(line)
    return fields


def test_line_on_a_terminal(terminal):
    logs.configure(0)
    logs.context.worker, logs.context.step = 1, "flow.map"
    logging.getLogger("engine.worker").warning("it is %s", "slow")
    line = terminal()
    assert TEXT.match(line)
    assert TEXT.sub("", line) == "WARNING p0 w1 flow.map: it is slow\n"


def test_line_outside_of_a_worker(terminal):
    logs.configure(2)
    logging.getLogger("engine").error("no peers")
    assert TEXT.sub("", terminal()) == "ERROR p2: no peers\n"


def test_line_beside_a_terminal_is_json(stderr):
    logs.configure(3)
    logs.context.worker, logs.context.step = 1, "flow.map"
    logging.getLogger("engine.worker").warning("line\nbreak \udcff ü")
    line = only(stderr())
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", line.pop("time"))
    assert line == {
        "level": "WARNING",
        "process": 3,
        "worker": 1,
        "step": "flow.map",
        "logger": "engine.worker",
        "message": "line\nbreak \udcff ü",
        "exc": None,
    }


def test_json_holds_the_exception(stderr):
    logs.configure(0)
    try:
        int("bad row")
    except ValueError:
        logging.getLogger("engine").exception("failed")
    line = only(stderr())
    assert set(line) == FIELDS
    assert line["exc"].startswith("Traceback")
    assert line["exc"].endswith("with base 10: 'bad row'")


def test_text_holds_the_exception(terminal):
    logs.configure(0)
    try:
        int("bad row")
    except ValueError:
        logging.getLogger("engine").exception("failed")
    first, second, *_, last = terminal().splitlines()
    assert first.endswith("ERROR p0: failed")
    assert second.startswith("Traceback")
    assert last.startswith("ValueError: invalid literal")


def test_json_holds_the_stack(stderr):
    logs.configure(0)
    logging.getLogger("engine").warning("here", stack_info=True)
    assert "test_json_holds_the_stack" in only(stderr())["exc"]


def test_each_thread_has_its_own_worker_and_step(stderr):
    logs.configure(0)
    logs.context.worker, logs.context.step = 1, "flow.map"
    thread = threading.Thread(target=logging.getLogger("engine").warning, args=("other",))
    thread.start()
    thread.join()
    line = only(stderr())
    assert (line["worker"], line["step"]) == (None, None)


def test_users_logs_at_info_are_visible_and_say_where(stderr):
    as_in_a_new_process()
    logs.configure(0)
    logs.context.worker, logs.context.step = 0, "flow.map"
    logging.getLogger("flights").info("row %d", 17)
    line = only(stderr())
    assert (line["logger"], line["message"], line["step"]) == ("flights", "row 17", "flow.map")


def test_users_handlers_stay_as_they_are(stderr):
    as_in_a_new_process()
    mine = io.StringIO()
    logging.basicConfig(stream=mine, format="mine %(message)s", level=logging.ERROR)
    handlers = list(logging.root.handlers)
    logs.configure(0)
    assert logging.root.handlers == handlers
    assert logging.root.level == logging.ERROR
    logging.getLogger("flights").error("hers")
    logging.getLogger("engine").warning("ours")
    assert mine.getvalue() == "mine hers\n"
    assert only(stderr())["message"] == "ours"


def test_root_level_that_the_user_has_chosen_stays(stderr):
    as_in_a_new_process()
    logging.root.setLevel(logging.ERROR)
    logs.configure(0)
    logging.getLogger("flights").warning("hidden")
    logging.getLogger("engine").info("shown")
    assert only(stderr())["message"] == "shown"


def test_loggers_that_the_users_setup_has_disabled_speak_again(stderr):
    logger = logging.getLogger("engine.mesh.test")
    logging.config.dictConfig({"version": 1})
    assert logger.disabled
    logs.configure(0)
    logger.warning("still here")
    assert only(stderr())["message"] == "still here"


def test_configuring_twice_shows_lines_once_and_in_the_new_form(stderr):
    as_in_a_new_process()
    logs.configure(0)
    logs.configure(1, "text")
    logging.getLogger("engine").info("once")
    logging.getLogger("flights").info("once")
    lines = stderr().splitlines()
    assert [TEXT.sub("", line) for line in lines] == ["INFO p1: once"] * 2


@pytest.mark.parametrize("level", ["warning", "WARNING", 30])
def test_level_hides_what_is_below(stderr, level):
    as_in_a_new_process()
    logs.configure(0, level=level)
    for name in ("engine.worker", "flights"):
        logging.getLogger(name).info("hidden")
    logging.getLogger("engine.worker").warning("shown")
    assert only(stderr())["message"] == "shown"


def test_environment_chooses_format_and_level(stderr, monkeypatch):
    monkeypatch.setenv("ENGINE_LOG_FORMAT", "text")
    monkeypatch.setenv("ENGINE_LOG_LEVEL", "error")
    logs.configure(0)
    logging.getLogger("engine").warning("hidden")
    logging.getLogger("engine").error("shown")
    assert TEXT.sub("", stderr()) == "ERROR p0: shown\n"


def test_arguments_win_over_the_environment(stderr, monkeypatch):
    monkeypatch.setenv("ENGINE_LOG_FORMAT", "text")
    monkeypatch.setenv("ENGINE_LOG_LEVEL", "error")
    logs.configure(0, "json", "info")
    logging.getLogger("engine").info("shown")
    assert only(stderr())["message"] == "shown"


def test_json_on_a_terminal_if_asked_for(terminal):
    logs.configure(0, "json")
    logging.getLogger("engine").info("shown")
    assert only(terminal())["message"] == "shown"


@pytest.mark.parametrize(
    ("format_", "level", "message"),
    [
        ("xml", None, "log format 'xml' does not exist; it is one of text, json, auto"),
        (None, "loud", "log level 'loud' does not exist"),
    ],
)
def test_what_does_not_exist_is_refused_by_name(format_, level, message):
    with pytest.raises(ConfigurationError, match=re.escape(message)):
        logs.configure(0, format_, level)


def test_prints_of_the_user_are_untouched():
    program = (
        "import logging, sys; from engine import logs; logs.configure(0);"
        "print('mine'); print('mine too', file=sys.stderr); logging.info('logged')"
    )
    ran = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert ran.stdout == "mine\n"
    first, second = ran.stderr.splitlines()
    assert first == "mine too"
    assert json.loads(second)["message"] == "logged"


def test_text_does_not_import_json():
    program = (
        "import sys; from engine import logs; logs.configure(0, 'text');"
        "sys.exit('json' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
