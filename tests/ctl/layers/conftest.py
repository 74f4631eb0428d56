"""Layers on a host: what the tests share."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from ctl.layers import Layer
from ctl.remote.root import Root
from ctl.remote.unpack import receive

Unpack = Callable[[Layer], Path]
Tree = Callable[..., Path]


def pythons() -> list[Path]:
    """This Python, and the others at least as new as the oldest that is supported."""
    others = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")).glob("versions/3.*")
    new = [each for each in others if int(each.name.split(".")[1]) >= 11]
    return [Path(sys.executable), *sorted(each / "bin" / "python" for each in new)]


def unpack_to(root: Path, layer: Layer) -> Path:
    """Do what a host does; give the folder with the files."""
    blocks = layer.pack()
    receive(Root(str(root)), layer.digest, lambda: next((block.data for block in blocks), b""))
    return Root(str(root)).layer(layer.digest)


@pytest.fixture(params=pythons(), ids=str)
def python(request: pytest.FixtureRequest) -> Path:
    return Path(request.param)


@pytest.fixture
def unpack(tmp_path: Path) -> Unpack:
    def run(layer: Layer) -> Path:
        return unpack_to(tmp_path / "hosts", layer)

    return run


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    """Write files, each keyword a folder and each item the name and content of a file."""

    def write(files: dict[str, str | bytes], at: str = "project") -> Path:
        root = tmp_path / at
        root.mkdir(exist_ok=True)
        for name, content in files.items():
            path = root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content.encode() if isinstance(content, str) else content)
        return root

    return write


def run(*words: object, cwd: Path, **env: object) -> "subprocess.CompletedProcess[str]":
    """Run a command with nothing in its environment but what is given."""
    return subprocess.run(
        [str(word) for word in words],
        cwd=cwd,
        env={name: str(value) for name, value in env.items()},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
