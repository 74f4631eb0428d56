"""Install the peer into a virtual environment of its own, so that it never mixes with ours."""

import shutil
import subprocess
import sys
from pathlib import Path

REQUIREMENT = "bytewax==0.21.1"

# Its wheels are for CPython 3.8 to 3.12; our shared functions need 3.9.
VERSIONS = ("3.12", "3.11", "3.10", "3.9")


class PeerError(RuntimeError):
    """The peer cannot be installed here."""


def install_peer(folder: Path) -> Path:
    """Return the Python that has the peer, after installing it if it is not there yet.

    Args:
        folder: The virtual environment.

    Raises:
        PeerError: If there is no Python that it runs on, or pip fails.
    """
    python = folder / "bin" / "python"
    if has_peer(python):
        return python
    base = find_python()
    print(f"installing {REQUIREMENT} into {folder}", file=sys.stderr)
    for command in (
        (base, "-m", "venv", "--clear", str(folder)),
        (str(python), "-m", "pip", "install", "--quiet", REQUIREMENT),
    ):
        done = subprocess.run(command, check=False, capture_output=True, text=True)
        if done.returncode:
            msg = f"{' '.join(command)} failed:\n{done.stderr}"
            raise PeerError(msg)
    return python


def has_peer(python: Path) -> bool:
    """Whether this Python can run the peer."""
    if not python.exists():
        return False
    command = (python, "-c", "import bytewax.run")
    return not subprocess.run(command, check=False, capture_output=True).returncode


def find_python() -> str:
    """The Python to install the peer for; the version that runs this suite if that will do.

    Raises:
        PeerError: If none of the versions is here.
    """
    own = f"{sys.version_info.major}.{sys.version_info.minor}"
    if own in VERSIONS:
        return sys.executable
    for version in VERSIONS:
        found = shutil.which(f"python{version}")
        # Version managers put stand-ins on the path that exist but do not run.
        if found and not subprocess.run((found, "-V"), check=False, capture_output=True).returncode:
            return found
    msg = f"{REQUIREMENT} needs one of CPython {', '.join(VERSIONS)}"
    raise PeerError(msg)
