"""Checks of single values: each returns the value as the model has it, or says what is wrong."""

import ipaddress
import re
import unicodedata
from collections.abc import Callable
from typing import Any, TypeGuard

from engine.settings import LONGEST_SECONDS

Check = Callable[[object], Any]
"""Returns the value as the model has it, which is never None.

Raises:
    WrongValueError: If it cannot be one.
"""

NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}")
VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
RESERVED_PREFIXES = ("ENGINE_", "HOSTMESH_")
"""Variables that `ctl` and the engine set themselves."""

_HOST_NAME = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9_.-]{0,252})")
_SHOWN = 48


class WrongValueError(Exception):
    """A value that a key cannot have.

    Args:
        problem: What is wrong, as a clause that follows the key: `is 0`.
        fix: What to write instead, as a clause.
    """

    def __init__(self, problem: str, fix: str) -> None:
        super().__init__(problem)
        self.problem = problem
        self.fix = fix


def shown(value: object) -> str:
    """A value for an error: on one line, and short."""
    match value:
        case bool():
            return "true" if value else "false"
        case str():
            return repr(value if len(value) <= _SHOWN else f"{value[:_SHOWN]}…")
        case int() if abs(value) > 10**18:
            return "a very large number"
        case int() | float():
            return repr(value)
        case list():
            return "an array"
        case dict():
            return "a table"
    return "a date or a time"


def _is(value: object, fix: str) -> WrongValueError:
    return WrongValueError(f"is {shown(value)}", fix)


def text(value: object) -> str:
    """Text that is not empty, on one line."""
    string = _string(value)
    if not string.strip():
        raise _is(value, "write what it is, or leave it out")
    if any(unicodedata.category(each) in {"Cc", "Zl", "Zp"} for each in string):
        raise _is(value, "write it on one line, in visible characters")
    return string


def name(value: object) -> str:
    """A name that can be part of a path and of a table."""
    string = _string(value)
    if not NAME.fullmatch(string):
        rule = "write up to 63 of a-z, 0-9, _ and -, a letter or digit first"
        suggestion = to_name(string)
        raise _is(value, f"{rule}, as in {suggestion!r}" if suggestion else rule)
    return string


def to_name(string: str) -> str:
    """The name that is closest to a text; empty if nothing of it can be in a name."""
    return re.sub(r"[^a-z0-9_]+", "-", string.lower()).strip("-_")[:63].rstrip("-")


def whole_number(value: object) -> int:
    """A number of something, from 1."""
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise _is(value, "write a whole number from 1, such as 2")
    return value


def port(value: object) -> int:
    """A TCP port."""
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= 65535:
        raise _is(value, "write a whole number from 1 to 65535")
    return value


def seconds(value: object) -> float:
    """A time that is more than 0."""
    if not _is_number(value) or not 0 < value <= LONGEST_SECONDS:
        fix = f"write seconds, a number above 0 and up to {LONGEST_SECONDS}"
        raise _is(value, fix)
    return float(value)


def epoch_seconds(value: object) -> float:
    """A time from one epoch to the next; 0 for an epoch per batch."""
    if not _is_number(value) or not (value == 0 or 0.0001 <= value <= LONGEST_SECONDS):
        fix = f"write seconds, 0 or a number from 0.0001 to {LONGEST_SECONDS}"
        raise _is(value, fix)
    return float(value)


def one_of(*choices: str) -> Check:
    """A check that a value is one of a few words."""

    def check(value: object) -> str:
        if not isinstance(value, str) or value not in choices:
            raise _is(value, f"write {_either(choices)}")
        return value

    return check


def yes_or_no(value: object) -> bool:
    """A switch."""
    if not isinstance(value, bool):
        raise _is(value, "write true or false")
    return value


def words(value: object) -> tuple[str, ...]:
    """A program and its arguments."""
    if not isinstance(value, list) or not value:
        raise _is(value, 'write an array of words, as in ["python", "train.py"]')
    strings = tuple(_string(each) for each in value)
    if not strings[0].strip():
        raise _is(value[0], "write the name of a program first")
    return strings


def readiness(value: object) -> tuple[str, str]:
    """How to see whether a process is ready: a kind, and what it takes."""
    if value in ("at_once", "tcp"):
        return str(value), ""
    if isinstance(value, dict) and len(value) == 1:
        [(kind, detail)] = value.items()
        if kind == "http":
            return kind, text(detail)
        if kind == "log":
            return kind, _pattern(detail)
    fix = 'write "at_once", "tcp", { http = "/healthz" } or { log = "listening on" }'
    raise _is(value, fix)


def _pattern(value: object) -> str:
    string = text(value)
    try:
        re.compile(string)
    except re.error as error:
        raise _is(value, f"write a regular expression; this is none: {error}") from None
    return string


def ssh_target(value: object) -> str:
    """What `ssh` dials: a host name, an address, or an alias of ssh_config."""
    string = text(value)
    user, at, host = string.rpartition("@")
    if at:
        fix = f"write {shown(host)}, and user = {shown(user)} beside it"
        raise _is(value, fix)
    bare = _ip_address(string)
    if bare is not None:
        return bare
    _refuse_port(string, "ssh_port")
    # What begins with a dash would be an option of `ssh`.
    if string.startswith("-") or any(each.isspace() or each in "/:" for each in string):
        raise _is(value, "write a host name or an alias of ssh_config")
    return string


def login(value: object) -> str:
    """The name of a user."""
    string = text(value)
    if string.startswith("-"):
        raise _is(value, "write the name of a user of the host")
    return string


def listen_host(value: object) -> str:
    """An IP address, in one spelling and without brackets, or a host name."""
    string = text(value)
    bare = _ip_address(string)
    if bare is not None:
        return bare
    _refuse_port(string, "mesh_port")
    # The same rule that resolvers have: what ends in a number is no name.
    is_name = _HOST_NAME.fullmatch(string) and not string.rstrip(".").rpartition(".")[2].isdigit()
    if not is_name:
        fix = "write an IP address or a host name, such as '192.168.1.10'"
        raise _is(value, fix)
    return string.lower()


def peer_host(value: object) -> str:
    """An address that others can dial."""
    host = listen_host(value)
    if host in {"0.0.0.0", "::"}:  # noqa: S104  # nothing is bound to it here
        fix = "write the address that other hosts dial; this one is for `bind`"
        raise _is(value, fix)
    return host


def host_path(value: object) -> str:
    """A path on a host: absolute, or in a home directory."""
    string = _string(value)
    if not string.startswith(("/", "~")):
        fix = "write an absolute path, or one that starts with ~/"
        raise _is(value, fix)
    return string


def root_path(value: object) -> str:
    """A path on a host that Python can search for modules."""
    string = host_path(value)
    if ":" in string:
        raise _is(value, "leave out the colon, which separates the folders that Python searches")
    return string


def path(value: object) -> str:
    """A path on the operator's machine."""
    string = _string(value)
    if not string:
        raise _is(value, "write the path of a file")
    return string


def variable_value(value: object) -> str:
    """The value of an environment variable."""
    if isinstance(value, str):
        return _string(value)
    fix = "write text, since that is what a variable holds"
    if isinstance(value, int | float):
        fix = f'{fix}: "{shown(value)}"'
    raise _is(value, fix)


def variable(value: object) -> str:
    """The name of an environment variable."""
    string = _string(value)
    if not VARIABLE.fullmatch(string):
        fix = "write the name of a variable: letters, digits and _, no digit first"
        raise _is(value, fix)
    return string


def _string(value: object) -> str:
    if not isinstance(value, str):
        raise _is(value, "write text, in quotes")
    if "\0" in value:
        raise _is(value, "leave out the NUL character, which no program can take")
    return value


def _is_number(value: object) -> TypeGuard[float]:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _ip_address(string: str) -> str | None:
    """An IP address without brackets, in the one spelling that can be compared."""
    bracketed = string.startswith("[") and string.endswith("]")
    try:
        address = ipaddress.ip_address(string[1:-1] if bracketed else string)
    except ValueError:
        return None
    return None if bracketed and address.version == 4 else str(address)


def _refuse_port(string: str, key: str) -> None:
    host, colon, number = string.rpartition(":")
    if colon and number.isascii() and number.isdigit():
        fix = f"write {shown(host)}, and the port as {key} = {number[:5]}"
        raise _is(string, fix)


def _either(choices: tuple[str, ...]) -> str:
    *others, last = [f'"{each}"' for each in choices]
    return f"{', '.join(others)} or {last}" if others else last
