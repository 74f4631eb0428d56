"""All that is wrong with an inventory, collected before anything is said."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ctl.errors import InventoryError
from ctl.inventory.lines import KeyPath, Lines
from ctl.inventory.values import Check, WrongValueError, shown

_PLAIN_KEY = re.compile(r"[A-Za-z0-9_-]{1,64}")


class Problems:
    """Collects what is wrong, and raises it as one error with a line for each.

    Args:
        file: The inventory, as it was named.
        lines: Where its keys stand.
        host_names: Names of its hosts as far as they are known, to say which one is meant.
    """

    def __init__(self, file: Path, lines: Lines, host_names: Sequence[object] = ()) -> None:
        self._file = file
        self._lines = lines
        self._host_names = host_names
        self._found: list[tuple[int, str, str]] = []

    def add(self, path: KeyPath, problem: str, fix: str, *, inside: KeyPath | None = None) -> None:
        """Note a problem.

        Args:
            path: The key whose line is named.
            problem: What is wrong, as a clause.
            fix: What to do about it, as a clause.
            inside: The table that is named, if it is not the one that the key is in.
        """
        label = self._label(path[:-1] if inside is None else inside)
        text = f"{label}: {problem}" if label else problem
        self._found.append((self._lines.of(*path), text, fix))

    def check(self, path: KeyPath, value: object, check: Check) -> Any:
        """The value as the model has it, or None if there is a problem with it."""
        try:
            return check(value)
        except WrongValueError as wrong:
            key = path[-1]
            subject = key_shown(key) if isinstance(key, str) else f"element {key}"
            self.add(path, f"{subject} {wrong.problem}", wrong.fix)
            return None

    def raise_any(self) -> None:
        """Raise what was noted, in the order of the lines.

        Raises:
            InventoryError: If there is anything.
        """
        found = [
            (f"{self._file}:{line}: {text}", fix)
            for line, text, fix in sorted(self._found, key=lambda each: each[0])
        ]
        if len(found) == 1:
            raise InventoryError(*found[0])
        if found:
            raise InventoryError("\n".join(f"{problem}; {fix}" for problem, fix in found))

    def _label(self, table: KeyPath) -> str:
        label = ""
        for part in table:
            if isinstance(part, int):
                label += f"[{part}]"
            else:
                label += f".{key_shown(part, '')}" if label else key_shown(part, "")
        match table:
            case ("hosts", int(index), *_) if index < len(self._host_names):
                name = self._host_names[index]
                if isinstance(name, str) and name:
                    label += f" ({name if _PLAIN_KEY.fullmatch(name) else shown(name)})"
        return label


def key_shown(key: str, quote: str = "`") -> str:
    """A key for an error: on one line, and short."""
    return f"{quote}{key if _PLAIN_KEY.fullmatch(key) else shown(key)}{quote}"
