import os
import secrets

import pytest

from ctl.remote.root import prepare
from tests.ctl.remote.machine import MARK, Machine, end_all


@pytest.fixture
def marking(monkeypatch):
    """See to it that what a test starts ends with it."""
    value = secrets.token_hex(8)
    monkeypatch.setenv(MARK, value)
    yield
    end_all(value)


@pytest.fixture
def machine(tmp_path, marking):
    before = os.umask(0)
    prepare()
    yield Machine(tmp_path / "root")
    os.umask(before)
