"""A Python that is too old for us, of pyenv's, if the machine that runs the tests has one."""

import os
from pathlib import Path

VERSION = "3.8"


def folder() -> Path | None:
    """Its `bin`, `lib` and so on."""
    root = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    found = sorted(root.glob(f"versions/{VERSION}.*/bin/python3"))
    return found[-1].parents[1] if found else None


def missing() -> str:
    """Why there is none."""
    return f"pyenv has no Python {VERSION} here"
