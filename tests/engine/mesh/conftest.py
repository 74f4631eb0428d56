import logging

import pytest

from tests.engine.mesh.nodes import running, until


@pytest.fixture
def cluster():
    with running() as cluster:
        yield cluster


@pytest.fixture
def lines(caplog):
    """Log lines of the mesh; `lines.wait(text, ...)` waits for one that holds all the texts."""
    caplog.set_level(logging.DEBUG, logger="engine.mesh")
    return Lines(caplog)


class Lines:
    def __init__(self, caplog):
        self._caplog = caplog

    @property
    def all(self):
        return [record.getMessage() for record in list(self._caplog.records)]

    def having(self, *texts):
        return [line for line in self.all if all(text in line for text in texts)]

    def wait(self, *texts):
        try:
            return until(lambda: self.having(*texts))[0]
        except AssertionError:
            raise AssertionError(f"no line with {texts} in {self.all[-20:]}") from None
