"""The files that patterns of an inventory name."""

import fnmatch
import re
from collections.abc import Iterator
from pathlib import Path

from ctl.errors import InventoryError
from ctl.layers.places import Place, is_left_out


def included(pattern: str, folder: Path) -> Iterator[tuple[str, Path]]:
    """The files that a pattern names, each with its path relative to the folder; some twice.

    `*`, `?` and `[…]` match within a name, `**` stands for any folders. A folder that is matched
    stands for all that is in it. What is hidden, or made by Python, is matched by its name only.

    Args:
        pattern: Relative path with wildcards.
        folder: Where it is looked for.

    Raises:
        InventoryError: If it matches nothing, or could lead out of the folder.
        FlowError: If a link leads out of the folder, nowhere or in a circle.
    """
    parts = [part for part in pattern.split("/") if part not in ("", ".")]
    if pattern.startswith("/") or ".." in parts or not parts or "\0" in pattern:
        msg = f"include {pattern!r} is not a path below the folder of the inventory, {folder}"
        raise InventoryError(msg, "name what is below it, or move the inventory up")
    is_empty = True
    for file in _matches(Place.of(folder), parts):
        is_empty = False
        yield file.relative_to(folder).as_posix(), file
    if is_empty:
        msg = f"include {pattern!r} matches no file; looked in {folder}"
        raise InventoryError(msg, "correct it in the inventory, or leave it out")


def _matches(here: Place, parts: list[str]) -> Iterator[Path]:
    if not parts or parts == ["**"]:
        yield from here.files()
        return
    if not here.is_folder:
        return
    first, *rest = parts
    entries = here.children()
    if first == "**":
        yield from _matches(here, rest)
        for entry in entries:
            if not is_left_out(entry.name) and entry.is_dir():
                yield from _matches(here.child(entry), parts)
        return
    is_named = re.compile(fnmatch.translate(first)).fullmatch
    for entry in entries:
        if is_named(entry.name) and (
            not is_left_out(entry.name) or first == entry.name or _names_hidden(first, entry.name)
        ):
            yield from _matches(here.child(entry), rest)


def _names_hidden(pattern: str, name: str) -> bool:
    """As in a shell: a dot at the start is matched by a dot."""
    return pattern.startswith(".") and name.startswith(".")
