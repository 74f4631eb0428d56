"""Texts that are shown again and again."""

import io
import sys

from ctl.ui.redraw import redrawn


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_file_gets_one_below_the_other(capsys):
    with redrawn() as draw:
        draw("one")
        draw("two")
    assert capsys.readouterr().out == "one\n\ntwo\n\n"


def test_a_terminal_gets_one_in_place_of_the_other(monkeypatch):
    terminal = Terminal()
    monkeypatch.setattr(sys, "stdout", terminal)
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLUMNS", "80")
    with redrawn() as draw:
        draw("one\ntwo \x07")
        draw("three")
    shown = terminal.getvalue()
    assert "one\ntwo \\x07" in shown
    # Up a line and erased, before the next text.
    assert "\x1b[1A\x1b[2K" in shown[shown.index("two") : shown.index("three")]
