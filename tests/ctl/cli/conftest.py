"""Run `ctl` in this process, on a deployment without hosts."""

import io
import sys
from collections.abc import Callable
from types import ModuleType
from typing import TextIO

import pytest

import ctl.cli
from ctl.ui.redact import Redactor
from tests.ctl.cli.fakes import FakeDeployment

Ctl = Callable[..., str]


@pytest.fixture
def fake(monkeypatch) -> FakeDeployment:
    """What the commands get for a deployment."""
    deployment = FakeDeployment()
    module = ModuleType("ctl.deployment")
    module.Deployment = deployment  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "ctl.deployment", module)
    return deployment


@pytest.fixture
def run_ctl(monkeypatch, tmp_path) -> Ctl:
    """Run a command in a folder of its own; gives its exit code, stdout and stderr."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.delenv("CTL_INVENTORY", raising=False)

    def run(*words: object, stdout: TextIO | None = None) -> str:
        out, err = io.StringIO(), io.StringIO()
        with monkeypatch.context() as patch:
            patch.setattr(sys, "argv", ["ctl", *map(str, words)])
            patch.setattr(sys, "stdout", stdout or out)
            patch.setattr(sys, "stderr", err)
            patch.setattr(sys, "stdin", io.StringIO())
            code: object = 0
            try:
                ctl.cli.main()
            except SystemExit as end:
                code = end.code
        text = f"{out.getvalue()}--- stderr\n{err.getvalue()}--- exit {code or 0}\n"
        return text.replace(str(tmp_path), "[folder]")

    return run


@pytest.fixture
def secrets(monkeypatch) -> Redactor:
    """Secrets that are forgotten after the test."""
    from ctl.ui.redact import redact

    monkeypatch.setattr(redact, "_forms", ())
    monkeypatch.setattr(redact, "_pattern", redact._pattern)
    return redact
