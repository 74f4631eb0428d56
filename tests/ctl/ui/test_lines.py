"""How lines of logs are shown."""

import json

from ctl.logs import LogLine
from ctl.ui.lines import for_machines, for_people

TIME = "2026-11-24T18:39:58.123456Z"


def line(process: int, text: str, host: str = "alpha") -> LogLine:
    return LogLine(TIME, host, process, "err", text)


def test_marks_are_aligned():
    show = for_people({0: "alpha", 10: "b"}, terminal=False, colour=False)
    assert show(line(0, "x")) + show(line(10, "y", "b")) == " 0 alpha | x\n10 b     | y\n"


def test_a_host_that_has_left_the_inventory_has_a_mark_too():
    show = for_people({}, terminal=False, colour=False)
    assert show(line(3, "x")) == "3 alpha | x\n"


def test_each_process_has_a_colour():
    show = for_people({0: "alpha", 1: "alpha"}, terminal=True, colour=True)
    assert show(line(0, "x")) == "\x1b[36m0 alpha |\x1b[0m x\n"
    assert show(line(1, "x")) == "\x1b[33m1 alpha |\x1b[0m x\n"


def test_a_terminal_is_not_driven():
    show = for_people({0: "alpha"}, terminal=True, colour=False)
    assert show(line(0, "a\x1b]0;title\x07\r")) == "0 alpha | a\\x1b]0;title\\x07\n"


def test_json_has_the_keys_in_order():
    text = for_machines(line(0, 'a "b" \\ \u2028 \x1b ö'))
    assert text.count("\n") == 1
    assert json.loads(text) == line(0, 'a "b" \\ \u2028 \x1b ö').to_json()
    assert list(json.loads(text)) == ["time", "host", "process", "stream", "text"]
