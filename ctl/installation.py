"""Refuse to run when what is installed is not what was shipped together.

`ctl` and `engine` are common words, and Python lets one distribution overwrite another's.
"""

import importlib
from pathlib import Path

from ctl.errors import InstallationError

_OURS = "hostmesh"
_PACKAGES = ("ctl", "engine")
"""Each says in `__distribution__` whose it is."""

_ISOLATED = f'install it on its own: uv tool install "{_OURS}[ctl]"'


def check_packages() -> None:
    """Check that the packages `ctl` and `engine` are ours, both from one place.

    Raises:
        InstallationError: If they are not; it names the other distribution if there is one.
    """
    here = Path(__file__).resolve().parent
    for name in _PACKAGES:
        try:
            package = importlib.import_module(name)
        except ImportError:
            msg = f"the package `{name}` of {_OURS} is missing; {_ISOLATED}"
            raise InstallationError(msg) from None
        file = package.__file__
        if file is None or Path(file).resolve() != here.parent / name / "__init__.py":
            place = file or next(iter(package.__path__), "nowhere")
            raise _foreign(name, f"is not beside {here} but at {place}", "put there")
        if getattr(package, "__distribution__", None) != _OURS:
            raise _foreign(name, f"is at {file}", "overwritten")


def check_extra() -> None:
    """Check that the dependencies of the extra `ctl` are there.

    Raises:
        InstallationError: If one is not.
    """
    try:
        importlib.import_module("typer")
    except ImportError as error:
        msg = f'ctl needs {error.name}, which is not installed; pip install "{_OURS}[ctl]"'
        raise InstallationError(msg) from None


def _foreign(name: str, where: str, what: str) -> InstallationError:
    # Slow, and needed only here.
    from importlib.metadata import packages_distributions

    others = sorted({each for each in packages_distributions().get(name, ()) if each != _OURS})
    whose = f", {what} by {' and '.join(others)}" if others else ", which is not ours"
    return InstallationError(f"the package `{name}` {where}{whose}; {_ISOLATED}")
