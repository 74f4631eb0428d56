"""Find what a flow requires, in the first of these places that says anything.

1. `requirements` in the inventory, a list or a file; an empty list means nothing
2. the inline metadata of the flow (PEP 723)
3. `uv.lock`, else `pyproject.toml`, beside the flow
"""

import re
import tomllib
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ctl.errors import FlowError, InventoryError, NotFoundError
from ctl.inventory import Inventory
from ctl.requirements.uv import run_uv

_OURS = "hostmesh"
"""Hosts get it as the operator has it."""

_SCRIPT = re.compile(r"(?m)^# /// script$\s(?P<content>(^#(| .*)$\s)+)^# ///$")
"""As PEP 723 has it, for its one type that counts here."""

_NAME = re.compile(r"\s*([A-Za-z0-9][A-Za-z0-9._-]*)")
_FURTHER = re.compile(r"^\s*(?:-r|--requirement|-c|--constraint)[ =]*(\S+)", re.MULTILINE)


@dataclass(frozen=True)
class Wanted:
    """What a flow requires.

    Args:
        text: In the format of requirements.txt.
        origin: Where it says so, for people.
        folder: What relative paths in it start from, and where settings of `uv` are looked for.
        python: Versions of Python that it is for, as `requires-python` has them; empty for any.
        further: Text of the files that it names.
    """

    text: str
    origin: str
    folder: Path
    python: str = ""
    further: tuple[str, ...] = ()

    def names(self, package: str) -> bool:
        """Whether it names a package itself."""
        return any(package_of(line) == package for line in self.text.splitlines())

    def with_defaults(self, requirements: Iterable[str]) -> "Wanted":
        """The same, and what a runtime requires, unless this names it."""
        more = [each for each in requirements if not self.names(package_of(each))]
        return replace(self, text="\n".join([self.text, *more])) if more else self


def find(inventory: Inventory, flow: Path | None, folder: Path) -> Wanted | None:
    """Find out what a flow requires.

    Args:
        inventory: What it says comes first.
        flow: The file of the flow, if it is one.
        folder: Where it is.

    Raises:
        NotFoundError: If a file that is named is not there.
        InventoryError: If one cannot be read.
        FlowError: If the flow's own metadata cannot be.
    """
    named = inventory.deployment.requirements
    if named is not None:
        if isinstance(named, Path):
            return _of_file(named, inventory)
        where = inventory.where("deployment", "requirements")
        text = "\n".join(_without_ours(named))
        return Wanted(text, where, inventory.path.absolute().parent) if text else None
    wanted = _of_script(flow) if flow is not None else None
    return wanted or _of_project(folder)


def _of_file(path: Path, inventory: Inventory) -> Wanted:
    text, *further = _texts(path, inventory.where("deployment", "requirements"), set())
    text = "\n".join(_without_ours(text.splitlines()))
    return Wanted(text, str(path), path.parent, further=tuple(further))


def _texts(path: Path, origin: str, seen: set[Path]) -> list[str]:
    """The text of a file, and of all that it names."""
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        msg = f"{origin}: there is no file {path}"
        raise NotFoundError(msg, "correct its name") from None
    except (OSError, UnicodeDecodeError) as error:
        msg = f"{origin}: {path} cannot be read: {error}"
        raise InventoryError(msg, "make it readable, as UTF-8") from None
    seen.add(path)
    texts = [text]
    for name in _FURTHER.findall(text):
        further = path.parent / name
        if further not in seen and "://" not in name:
            texts += _texts(further, str(path), seen)
    return texts


def _of_script(flow: Path) -> Wanted | None:
    match = _SCRIPT.search(flow.read_text(encoding="utf-8", errors="replace"))
    if match is None:
        return None
    lines = match["content"].splitlines()
    content = "\n".join(line.removeprefix("#").removeprefix(" ") for line in lines)
    try:
        data = tomllib.loads(content)
    except tomllib.TOMLDecodeError as error:
        msg = f"the inline metadata of {flow} is not TOML: {error}"
        raise FlowError(msg, "see PEP 723") from None
    return _of_table(data, f"inline metadata of {flow.name}", flow.parent)


def _of_project(folder: Path) -> Wanted | None:
    project = folder / "pyproject.toml"
    if not project.is_file():
        return None
    try:
        table = tomllib.loads(project.read_text(encoding="utf-8")).get("project", {})
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        msg = f"{project} cannot be read: {error}"
        raise InventoryError(msg, "correct it, or set `requirements` in the inventory") from None
    if (folder / "uv.lock").is_file():
        words = ("export", "--frozen", "--no-dev", "--no-emit-project", "--prune", _OURS)
        ended = run_uv(*words, "--no-header", "--no-annotate", folder=folder)
        if ended.code:
            msg = f"{folder / 'uv.lock'} cannot be read: {ended.complaint}"
            raise InventoryError(msg, "renew it: uv lock")
        table = {**table, "dependencies": ended.output.splitlines()}
        return _of_table(table, "uv.lock", folder)
    return _of_table(table, "pyproject.toml", folder)


def _of_table(table: dict[str, Any], origin: str, folder: Path) -> Wanted | None:
    named = table.get("dependencies", [])
    python = table.get("requires-python", "")
    is_fine = isinstance(named, list) and all(isinstance(each, str) for each in named)
    if not is_fine or not isinstance(python, str):
        msg = f"{origin}: `dependencies` is no list of requirements"
        raise InventoryError(msg, 'write dependencies = ["numpy>=2"]')
    text = "\n".join(_without_ours(named))
    return Wanted(text, origin, folder, python) if text.strip() else None


def package_of(requirement: str) -> str:
    """The name of the package that a requirement is about, normalised; empty if it has none."""
    match = _NAME.match(requirement)
    return re.sub(r"[-_.]+", "-", match[1]).lower() if match else ""


def _without_ours(lines: Iterable[str]) -> Iterable[str]:
    return (line for line in lines if package_of(line) != _OURS)
