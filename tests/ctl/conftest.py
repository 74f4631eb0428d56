import shutil
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.ctl.transport.site import Site
from tests.fleet.sshd import unavailable


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    reason = unavailable() or ("no ssh" if shutil.which("ssh") is None else None)
    if reason:
        pytest.skip(reason)
    with ExitStack() as stack:
        yield Site(tmp_path, stack)
