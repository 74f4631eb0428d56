"""What tests of the whole project share."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

Command = Callable[..., subprocess.CompletedProcess[str]]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with what takes longest, so that no worker is left with it at the end."""
    items.sort(key=lambda item: item.path.name != "test_packaging.py")


@pytest.fixture(scope="session")
def repository() -> Path:
    """The checkout, or what of it was copied beside an installed wheel."""
    return Path(__file__).parents[1]


@pytest.fixture(scope="session")
def flights_csv(repository: Path) -> Path:
    path = repository / ".data" / "flights.csv"
    if not path.exists():
        pytest.fail(f"no {path}: get it with `make data`", pytrace=False)
    return path


@pytest.fixture
def command(tmp_path: Path) -> Command:
    """Run a command of the environment under test in a folder of its own."""

    def run(*words: str | Path, **env: str | Path) -> subprocess.CompletedProcess[str]:
        scripts = Path(sys.executable).parent
        path = f"{scripts}{os.pathsep}{os.environ['PATH']}"
        program = shutil.which(words[0], path=path)
        assert program, f"no command {words[0]}"
        return subprocess.run(
            [program, *words[1:]],
            cwd=tmp_path,
            env={**os.environ, "PATH": path, **{name: str(value) for name, value in env.items()}},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    return run
