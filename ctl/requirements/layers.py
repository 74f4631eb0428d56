"""From requirements to a layer for each host."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from ctl.errors import CtlError, HostsError, VersionError
from ctl.layers import Layer
from ctl.requirements.cache import Cache, key_of
from ctl.requirements.explaining import explain
from ctl.requirements.sources import Wanted
from ctl.requirements.targets import Target
from ctl.requirements.uv import Ended, interpreter, run_uv

Say = Callable[[str], None]

_PINNED = re.compile(r"^([A-Za-z0-9][A-Za-z0-9._-]*)==([^\s;\\]+)", re.MULTILINE)


@dataclass(frozen=True)
class RequirementsLayer:
    """What a host gets.

    Args:
        layer: The files, whose root goes on `PYTHONPATH`.
        versions: Of each package in it.
    """

    layer: Layer
    versions: Mapping[str, str]


def requirement_layers(
    wanted: Wanted, targets: Mapping[str, Target], say: Say, cache: Cache | None = None
) -> dict[str, RequirementsLayer]:
    """Resolve and fetch what hosts need, each distinct target once.

    What was resolved before stays as it was as long as the requirements read the same, so that
    to deploy again changes nothing by itself.

    Args:
        wanted: The requirements.
        targets: What each host is, by its name.
        say: Is told what is being done.
        cache: Where it is kept.

    Returns:
        The layer of each host, by its name.

    Raises:
        HostsError: If they cannot be had for a host; the hosts are named.
        CannotWriteError: If the cache cannot be written.
    """
    cache = cache or Cache()
    made: dict[Target, RequirementsLayer] = {}
    errors: dict[Target, CtlError] = {}
    for target in dict.fromkeys(targets.values()):
        try:
            made[target] = _layer(wanted, target, say, cache)
        except CtlError as error:
            errors[target] = error
    failures = {name: errors[target] for name, target in targets.items() if target in errors}
    if failures:
        problem = f"what the flow requires ({wanted.origin}) cannot be had"
        raise HostsError(problem, failures, "nothing was changed")
    return {name: made[target] for name, target in targets.items()}


def _layer(wanted: Wanted, target: Target, say: Say, cache: Cache) -> RequirementsLayer:
    _check_python(wanted, target)
    key = key_of(wanted.text, *wanted.further, str(wanted.folder), target.python, target.platform)
    resolved = cache.resolution(key)
    if resolved is None:
        say(f"resolving for {target}")
        resolved = _resolve(wanted, target)
        cache.remember(key, resolved)
    key = key_of(resolved, target.python, target.platform)
    layer = cache.layer(key)
    if layer is None:
        with cache.new() as tree:
            words = ("pip", "install", "--target", str(tree), "--no-deps", "--requirement", "-")
            ended = _run(words, resolved, wanted, target, say)
            if ended.code:
                raise _explained(ended, wanted, target)
            layer = cache.keep(key, tree)
    return RequirementsLayer(layer, dict(_PINNED.findall(resolved)))


def _check_python(wanted: Wanted, target: Target) -> None:
    if not wanted.python:
        return
    from packaging.specifiers import InvalidSpecifier, SpecifierSet

    try:
        is_fine = any(
            SpecifierSet(wanted.python).contains(f"{target.python}.{patch}") for patch in (0, 99)
        )
    except InvalidSpecifier:
        is_fine = True
    if not is_fine:
        msg = f"Python {target.python}, but {wanted.origin} requires {wanted.python}"
        raise VersionError(msg, "set `python` of the host in the inventory")


def _resolve(wanted: Wanted, target: Target) -> str:
    ended = _compile(wanted, target)
    if ended.code:
        raise _explained(ended, wanted, target)
    return ended.output


def _compile(wanted: Wanted, target: Target) -> Ended:
    words = ("pip", "compile", "--no-header", "--no-annotate", "--generate-hashes", "-")
    return _run(words, wanted.text, wanted, target, None)


def _explained(ended: Ended, wanted: Wanted, target: Target) -> CtlError:
    def would_do(python: str) -> bool:
        return _compile(wanted, Target(python, target.platform)).code == 0

    return explain(ended.complaint, wanted, target, would_do)


def _run(
    words: tuple[str, ...], text: str, wanted: Wanted, target: Target, say: Say | None
) -> Ended:
    return run_uv(
        *words,
        *interpreter(),
        *("--python-version", target.python, "--python-platform", target.platform),
        *("--only-binary", ":all:"),
        folder=wanted.folder,
        text=text,
        say=say,
    )
