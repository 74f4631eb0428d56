"""Which inventory a command is about."""

import os
from pathlib import Path

from ctl.errors import NotFoundError
from ctl.ui.console import say

VARIABLE = "CTL_INVENTORY"
DEFAULT = Path("inventory.toml")


def find(argument: Path | None, *, guess: bool = False) -> Path:
    """Find the inventory.

    Args:
        argument: What the command line says.
        guess: Whether the last one deployed will do; not for a command that changes something.

    Raises:
        NotFoundError: If there is none.
    """
    if argument is not None:
        return argument
    if named := os.environ.get(VARIABLE):
        return Path(named)
    if DEFAULT.exists():
        return DEFAULT
    fix = f"name one, set {VARIABLE}, or write one with: ctl init"
    if not guess:
        problem = f"no inventory: none is named, and there is no {DEFAULT} in {Path.cwd()}"
        raise NotFoundError(problem, fix)
    last = _last()
    if last is None:
        problem = f"no inventory: none is named, none was deployed from here, no {DEFAULT}"
        raise NotFoundError(problem, fix)
    if not last.exists():
        problem = f"the inventory that was deployed last is gone: {last}"
        raise NotFoundError(problem, f"name one, or set {VARIABLE}")
    say(f"inventory: {last}, which was deployed last")
    return last


def remember(path: Path) -> None:
    """Note which inventory was deployed last, for `find`; it is no harm if that fails."""
    file = _state_file()
    beside = file.with_name(f".{file.name}.{os.getpid()}")
    try:
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with open(beside, "wb", opener=_open_private) as stream:
            stream.write(os.fsencode(path.resolve()))
        beside.replace(file)
    except OSError as error:
        say(f"warning: cannot note the inventory for later commands: {error}")


def _last() -> Path | None:
    try:
        return Path(os.fsdecode(_state_file().read_bytes()))
    except OSError:
        return None


def _state_file() -> Path:
    # A relative path in this variable does not count, says its specification.
    home = Path(os.environ.get("XDG_STATE_HOME", ""))
    folder = home if home.is_absolute() else Path("~/.local/state").expanduser()
    return folder / "hostmesh" / "last"


def _open_private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)
