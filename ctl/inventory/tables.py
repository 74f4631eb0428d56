"""Reading one table: its keys, and their values as the model has them."""

from collections.abc import Collection, Iterable, Mapping
from difflib import get_close_matches
from typing import Any

from ctl.inventory import keys
from ctl.inventory.lines import KeyPath
from ctl.inventory.problems import Problems, key_shown
from ctl.inventory.values import Check, shown

_LONGEST_GUESS = 64
"""Looking for a similar key takes time that grows with the square of its length."""

_HOMES: Mapping[str, Collection[str]] = {
    "[deployment]": {*keys.DEPLOYMENT_KEYS, *keys.DEPLOYMENT_TABLES},
    "[[hosts]] or [defaults]": keys.DEFAULTS_KEYS,
    "[[hosts]]": keys.HOST_KEYS,
    "[deployment.recovery]": keys.RECOVERY_KEYS,
}
"""Where a key belongs that stands in the wrong table."""


def read_table(
    raw: object,
    path: KeyPath,
    checks: Mapping[str, Check],
    problems: Problems,
    *,
    required: Iterable[str] = (),
) -> dict[str, Any]:
    """The values that are there and right, by key; what is wrong is noted.

    Args:
        raw: What `tomllib` found.
        path: Where it is.
        checks: The keys that the table may have.
        problems: Where to note what is wrong.
        required: The keys that it must have.
    """
    if not isinstance(raw, dict):
        header = ".".join(str(part) for part in path)
        problems.add(path, f"{key_shown(str(path[-1]))} is {shown(raw)}", f"write [{header}]")
        return {}
    found: dict[str, Any] = {}
    for key, value in raw.items():
        if key in checks:
            result = problems.check((*path, key), value, checks[key])
            if result is not None:
                found[key] = result
        else:
            refuse_key((*path, key), checks, problems)
    for key in required:
        if key not in raw:
            problems.add((*path, key), f"has no key {key_shown(key)}", "add it")
    return found


def refuse_key(path: KeyPath, known: Collection[str], problems: Problems) -> None:
    """Note a key that its table does not have, and what may have been meant."""
    key = str(path[-1])
    nearest = "[[hosts]]" if path[0] in {"hosts", "defaults"} else "[deployment]"
    homes = sorted(
        (home for home, theirs in _HOMES.items() if key in theirs),
        key=lambda home: not home.startswith(nearest),
    )
    similar = get_close_matches(key, known, n=1) if len(key) < _LONGEST_GUESS else []
    if homes:
        fix = f"it belongs in {homes[0]}"
    elif similar:
        fix = f"did you mean {key_shown(similar[0])}?"
    else:
        fix = f"the keys here are {', '.join(known)}"
    problems.add(path, f"unknown key {key_shown(key)}", fix)


def read_array(raw: object, path: KeyPath, check: Check, problems: Problems) -> tuple[Any, ...]:
    """The elements that are right; what is wrong is noted."""
    if not isinstance(raw, list):
        fix = 'write an array, as in ["first", "second"]'
        problems.add(path, f"{key_shown(str(path[-1]))} is {shown(raw)}", fix)
        return ()
    results = (problems.check((*path, index), value, check) for index, value in enumerate(raw))
    return tuple(result for result in results if result is not None)
