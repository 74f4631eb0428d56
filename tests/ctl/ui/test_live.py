"""What is shown while a command works."""

import threading
from collections.abc import Callable

import pytest

from ctl.ui import live
from ctl.ui.live import Patient


class FakeTimer:
    """A timer whose time comes when the test says so."""

    made: list["FakeTimer"]
    daemon = False

    def __init__(self, _seconds: float, work: Callable[[], None]) -> None:
        self._work = work
        self._runs = False
        self.made.append(self)

    def start(self) -> None:
        self._runs = True

    def cancel(self) -> None:
        self._runs = False

    def expire(self) -> None:
        if self._runs:
            self._work()


@pytest.fixture
def said(monkeypatch):
    sentences: list[str] = []
    FakeTimer.made = []
    monkeypatch.setattr(live, "say", sentences.append)
    monkeypatch.setattr(threading, "Timer", FakeTimer)
    return sentences


@pytest.fixture
def view(said):
    view = Patient()
    view.phase("connect", None, "started")
    for host in ("alpha", "beta", "gamma", "delta"):
        view.phase("connect", host, "started")
    return view


def test_whoever_has_not_answered_after_some_time_is_named(said, view):
    view.phase("connect", "alpha", "done")
    view.phase("connect", "gamma", "failed", "refused")
    assert not said
    FakeTimer.made[0].expire()
    assert said == ["waiting for beta, delta"]


def test_nobody_is_while_the_user_is_asked(said, view):
    with view.paused():
        FakeTimer.made[0].expire()
        assert not said
    FakeTimer.made[1].expire()
    assert said == ["waiting for alpha, beta, gamma, delta"]


def test_nobody_is_once_all_have_answered(said, view):
    view.phase("connect", None, "done")
    FakeTimer.made[0].expire()
    assert not said
