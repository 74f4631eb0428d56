"""Why requirements cannot be had, out of what `uv` says."""

import re
from collections.abc import Callable

from ctl.errors import CtlError, InventoryError, NotFoundError, UnreachableError, VersionError
from ctl.requirements.sources import Wanted
from ctl.requirements.targets import Target

OLDEST, NEWEST = 11, 14
"""Minor versions of Python 3 that hosts can have."""

_PACKAGE = r"(?:all versions of )?(?P<name>[A-Za-z0-9._-]+?)(?:[=<>!~]=?=?(?P<version>[^\s,]+))?"
_ABI = re.compile(
    rf"{_PACKAGE} (?:has|have) no wheels with a matching Python (?:ABI|version)? ?tag"
)
_PLATFORM = re.compile(rf"{_PACKAGE} (?:has|have) no wheels with a matching platform tag")
_PLATFORMS = re.compile(r"Wheels are available for .*? on the following platforms?: (.*)")
_UNBUILT = re.compile(rf"{_PACKAGE} (?:has|have) no usable wheels")
_MARKED = re.compile(r"Wheels are required for `([^`]+)`")
_BUILDS = re.compile(r"(?:Building|Failed to build|build) .*?`([^`@ =]+)")
_UNKNOWN = re.compile(r"([A-Za-z0-9._-]+) was not found in the (?:package registry|provided)")
_NO_VERSION = re.compile(r"there (?:is|are) no versions? of ([A-Za-z0-9._-]+)(\S*)")
_TAGS = re.compile(r"(?:tags?|version)[^:]*: (`cp3\d+`[^\n]*)")
_TAG = re.compile(r"`cp3(\d+)`")
_OFFLINE = ("error sending request", "Failed to fetch", "Connection refused", "dns error")
_LONGEST = 2000


def explain(
    complaint: str, wanted: Wanted, target: Target, would_do: Callable[[str], bool]
) -> CtlError:
    """Why requirements cannot be had for a target, and what to do about it.

    Args:
        complaint: What `uv` says.
        wanted: The requirements.
        target: What for.
        would_do: Whether they can be had for another version of Python, such as `3.12`.
    """
    text = re.sub(r"\s*\n\s+", " ", complaint)
    if match := _ABI.search(text):
        return _other_python(match, text, target, would_do)
    if match := _PLATFORM.search(text):
        found = _PLATFORMS.search(text)
        names = re.findall(r"`(\S*linux\S*)`", found[1]) if found else []
        there = f"; there are some for {', '.join(names)}" if names else ""
        msg = f"no wheel of {_named(match)} for {target}{there}"
        return VersionError(msg, f"name another version of it in {wanted.origin}")
    if match := _UNBUILT.search(text):
        return _needs_building(_named(match), wanted)
    if match := _MARKED.search(text) or _BUILDS.search(text):
        return _needs_building(match[1], wanted)
    if any(each in text for each in _OFFLINE):
        msg = f"the package index cannot be reached: {text.splitlines()[-1][-300:]}"
        return UnreachableError(msg, "see whether this machine is online; hosts need not be")
    if match := _UNKNOWN.search(text):
        msg = f"the package index has no {match[1]}"
        return NotFoundError(msg, f"correct its name in {wanted.origin}")
    if match := _NO_VERSION.search(text):
        msg = f"there is no {match[1]} {match[2].lstrip('=')}".rstrip(" ,")
        return NotFoundError(msg, f"name a version that there is in {wanted.origin}")
    what = "cannot be had together" if "unsatisfiable" in text else "cannot be had"
    said = text.removeprefix("error: ")[-_LONGEST:]
    return InventoryError(f"the requirements {what}: {said}", f"correct them in {wanted.origin}")


def _other_python(
    match: re.Match[str], text: str, target: Target, would_do: Callable[[str], bool]
) -> CtlError:
    tags = _TAGS.search(text)
    minors = {int(each) for each in _TAG.findall(tags[1])} if tags else set()
    range_ = range(OLDEST, NEWEST + 1)
    fine = [f"3.{each}" for each in range_ if each in minors]
    if tags is None:
        others = (f"3.{each}" for each in range_ if f"3.{each}" != target.python)
        fine = [each for each in others if would_do(each)]
    msg = f"no wheel of {_named(match)} for CPython {target.python}"
    if not fine:
        return VersionError(msg, "require another version of it")
    those = " and ".join([", ".join(fine[:-1]), fine[-1]] if fine[1:] else fine)
    return VersionError(f"{msg}; Python {those} would do", f'python = "python{fine[-1]}"')


def _needs_building(package: str, wanted: Wanted) -> CtlError:
    msg = f"{package} needs building: the package index has no wheel of it"
    fix = (
        f"build one (pip wheel), and write its path, `name @ file:///…`, in {wanted.origin}, or "
        "require another version"
    )
    return InventoryError(msg, fix)


def _named(match: re.Match[str]) -> str:
    return f"{match['name']} {match['version'] or ''}".strip()
