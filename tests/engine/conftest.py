"""What tests of the engine with real processes share."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.engine.running import Launcher, launcher


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Launcher]:
    """Starts processes in a folder of their own; those that are left end with the test."""
    with launcher(tmp_path) as started:
        yield started
