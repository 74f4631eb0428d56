"""From bytes to what `tomllib` makes of them, with errors that show the line."""

import re
import tomllib
from itertools import accumulate
from pathlib import Path
from typing import Any

from ctl.errors import InventoryError
from ctl.inventory.values import shown

_MESSAGE = re.compile(
    r"(?P<problem>.*) \(at (?:line (?P<line>\d+), column (?P<column>\d+)|end of document)\)",
    re.DOTALL,
)
_HEADER = re.compile(r"\s*\[")
_LONG_NUMBER = re.compile(r"[0-9_]{4301,}")
_FIXES = {
    "invalid value": 'put text in quotes, as in name = "flights"',
    "cannot overwrite": "keep one of the two",
    "cannot declare": "keep one of the two",
    "invalid statement": "write key = value, or [table]",
    "illegal character '\\n'": "close the quotes on the same line",
}
_OTHER_FIX = "https://toml.io shows how it is written"


def decode(data: bytes, path: Path) -> str:
    """The text of an inventory.

    Raises:
        InventoryError: If it is not in UTF-8.
    """
    try:
        # Some editors begin a file with a byte order mark.
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
    msg = f"{path}:{line}: this is not UTF-8"
    raise InventoryError(msg, "save the file in UTF-8")


def parse(text: str, path: Path) -> dict[str, Any]:
    """The values of an inventory.

    Raises:
        InventoryError: If it is not TOML.
    """
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        message = str(error)
    except RecursionError:
        message = f"Nested too deeply (at line {_deepest_line(text)}, column 1)"
    except ValueError:
        # Python does not convert a number of more digits.
        long = _LONG_NUMBER.search(text)
        start = long.start() if long else 0
        message = f"A number is too long (at line {_line(text, start)}, column 1)"
    match = _MESSAGE.fullmatch(message)
    problem = match["problem"] if match else message
    problem = problem[:1].lower() + problem[1:]
    if match and match["line"]:
        line, where = int(match["line"]), f"column {match['column']}"
    else:
        line, where = _line(text, len(text.rstrip())), "the end"
    fix = next((fix for start, fix in _FIXES.items() if problem.startswith(start)), _OTHER_FIX)
    msg = f"{path}:{line}: this is not TOML: {problem} at {where}{_content(text, line)}"
    raise InventoryError(msg, fix)


def _line(text: str, position: int) -> int:
    return text.count("\n", 0, position) + 1


def _deepest_line(text: str) -> int:
    steps = ((each in "[{") - (each in "]}") for each in text)
    depths = list(accumulate(steps))
    return _line(text, depths.index(max(depths)))


def _content(text: str, line: int) -> str:
    """The line that an error is about, unless a secret may be on it."""
    lines = text.split("\n")
    content = lines[line - 1].strip() if line <= len(lines) else ""
    table = next((each for each in reversed(lines[:line]) if _HEADER.match(each)), "")
    if not content or "secret" in f"{table}{content}".lower():
        return ""
    return f" of {shown(content)}"
