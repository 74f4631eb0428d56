"""The files of installed distributions that hosts get from the operator's machine."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from ctl.errors import InstallationError
from ctl.layers.archive import Entry

if TYPE_CHECKING:
    from importlib.metadata import Distribution

_BINARY = (".so", ".pyd", ".dylib", ".dll")
_OF_THE_INSTALLER = ("RECORD", "INSTALLER", "REQUESTED", "direct_url.json")
"""These differ from one installation of the same distribution to the next."""


def pure_entries(name: str) -> Iterator[Entry]:
    """The files of a distribution that is nothing but Python, as they are below `site-packages`.

    Args:
        name: Name of the distribution.

    Raises:
        InstallationError: If it is not installed, or has to be built for a platform.
    """
    installed = _installed(name)
    if not installed.files or any(file.suffix == ".pth" for file in installed.files):
        msg = f"{name} cannot be pushed: its installation does not list its files"
        raise InstallationError(msg, f"install {name} from a wheel")
    for file in installed.files:
        # What begins with dots is a command of the distribution.
        if file.parts[0] == ".." or "__pycache__" in file.parts or file.is_absolute():
            continue
        if file.suffix in _BINARY:
            msg = f"{name} cannot be pushed: {file} is built for one platform"
            raise InstallationError(msg, f"install a version of {name} that is pure Python")
        is_metadata = file.parts[0].endswith(".dist-info")
        if not (is_metadata and file.name in _OF_THE_INSTALLER):
            yield Entry.of(file.as_posix(), Path(str(file.locate())))


def dependencies(name: str) -> list[str]:
    """All distributions that one needs, with their own needs, extras left out.

    Args:
        name: Name of the distribution.

    Raises:
        InstallationError: If one is not installed.
    """
    from packaging.requirements import Requirement

    found: dict[str, None] = {}
    pending = [name]
    while pending:
        for text in _installed(pending.pop()).requires or ():
            requirement = Requirement(text)
            needed = re.sub(r"[-_.]+", "-", requirement.name).lower()
            is_needed = requirement.marker is None or requirement.marker.evaluate({"extra": ""})
            if is_needed and needed not in found:
                found[needed] = None
                pending.append(needed)
    return sorted(found)


def _installed(name: str) -> "Distribution":
    # Slow, and needed only when something is pushed.
    from importlib.metadata import PackageNotFoundError, distribution

    try:
        return distribution(name)
    except PackageNotFoundError:
        msg = f"the distribution {name} is not installed, and hosts need it"
        raise InstallationError(msg, f"pip install {name}") from None
