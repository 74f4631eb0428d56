"""How a deployment is opened: questions for a passphrase."""

import getpass
import io
import sys
from contextlib import contextmanager

import pytest

from ctl.cli.opening import opened
from ctl.ui.live import Sentences


class Stdin(io.StringIO):
    def __init__(self, *, terminal: bool) -> None:
        super().__init__()
        self._terminal = terminal

    def isatty(self) -> bool:
        return self._terminal


class View(Sentences):
    """Notes when it is paused."""

    def __init__(self) -> None:
        self.seen: list[str] = []

    @contextmanager
    def paused(self):
        self.seen.append("paused")
        try:
            yield
        finally:
            self.seen.append("goes on")


@pytest.fixture
def asked(monkeypatch, fake, tmp_path):
    """The function for questions that a deployment gets on a terminal, and the view."""
    monkeypatch.setattr(sys, "stdin", Stdin(terminal=True))
    view = View()
    with opened(tmp_path / "a.toml", view, accept_new_host_keys=False, connect_timeout=1):
        yield fake.calls[0][1]["ask"], view


def test_a_passphrase_is_asked_for_while_nothing_else_is_shown(asked, monkeypatch):
    ask, view = asked
    monkeypatch.setattr(getpass, "getpass", lambda question: view.seen.append(question) or "secret")
    assert ask("Passphrase of id_ed25519: ") == "secret"
    assert view.seen == ["paused", "Passphrase of id_ed25519: ", "goes on"]


def test_the_end_of_the_input_is_no_answer(asked, monkeypatch):
    ask, view = asked

    def nothing(_):
        raise EOFError

    monkeypatch.setattr(getpass, "getpass", nothing)
    assert ask("Passphrase: ") is None
    assert view.seen == ["paused", "goes on"]


def test_without_a_terminal_nobody_is_asked(monkeypatch, fake, tmp_path):
    monkeypatch.setattr(sys, "stdin", Stdin(terminal=False))
    with opened(tmp_path / "a.toml", View(), accept_new_host_keys=False, connect_timeout=1):
        pass
    assert fake.calls[0][1]["ask"] is None
    assert fake.closed
