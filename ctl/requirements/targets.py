"""What wheels are for: a minor version of Python, and a platform."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ctl.errors import VersionError

_GLIBC: tuple[int, ...] = (17, 28, *range(31, 41))
"""Minor versions of glibc 2 that `uv` knows."""

_MACHINES = {"x86_64": "x86_64", "amd64": "x86_64", "aarch64": "aarch64", "arm64": "aarch64"}


@dataclass(frozen=True, order=True)
class Target:
    """What wheels have to be for.

    Args:
        python: As in `3.11`.
        platform: As `uv` calls it.
    """

    python: str
    platform: str

    def __str__(self) -> str:
        """For people."""
        machine, _, libc = self.platform.partition("-")
        libc = libc.replace("manylinux_2_", "glibc 2.").replace("unknown-linux-musl", "musl")
        return f"CPython {self.python} on {machine} with {libc}"


def targets(facts: Mapping[str, Mapping[str, Any]]) -> dict[str, Target]:
    """The target of each host; hosts that differ in the version of glibc alone share one.

    Args:
        facts: Of each host, by its name, as `ctl.remote.facts` gathers them.

    Raises:
        VersionError: If there are no wheels for a host at all.
    """
    keys: dict[str, tuple[str, str, bool]] = {}
    lowest: dict[tuple[str, str, bool], int] = {}
    for name, each in facts.items():
        machine = _MACHINES.get(str(each["machine"]).lower())
        if machine is None:
            msg = f"{name}: nothing can be required on {each['machine']}, only on x86_64 or aarch64"
            raise VersionError(msg, "set `requirements = []`, and have there what the flow needs")
        libc, version = each["libc"]
        number = _glibc(version) if libc == "glibc" else None
        keys[name] = key = (".".join(map(str, each["python"][:2])), machine, number is None)
        if number is not None:
            lowest[key] = min(number, lowest.get(key, number))
    return {
        name: Target(
            key[0],
            f"{key[1]}-unknown-linux-musl" if key[2] else f"{key[1]}-manylinux_2_{lowest[key]}",
        )
        for name, key in keys.items()
    }


def _glibc(version: str) -> int:
    match = re.match(r"2\.(\d+)", version)
    own = int(match[1]) if match else _GLIBC[0]
    return max((each for each in _GLIBC if each <= own), default=_GLIBC[0])
