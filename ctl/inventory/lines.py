"""On which line of a TOML text each key stands; `tomllib` gives values only.

The text has been read by `tomllib` before, so it is known to be valid: what is left is to find
where each token ends.
"""

import re
import tomllib
from bisect import bisect_right
from collections.abc import Mapping

KeyPath = tuple[str | int, ...]
"""The keys that lead to a value, and the indices in arrays: `("hosts", 1, "address")`."""

_STRING = re.compile(
    # A closing delimiter of three may have one or two quotes of the text itself before it.
    r'"""(?:\\.|[^\\])*?"""(?:"{0,2})'
    r"|'''.*?'''(?:'{0,2})"
    r'|"(?:\\.|[^"\\])*"'
    r"|'[^']*'",
    re.DOTALL,
)
_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")
# A date may have a space inside, so only what can follow a value ends it.
_SCALAR = re.compile(r"[^,\]}#\n]+")
_GAP = re.compile(r"(?:[ \t\r\n]+|#[^\n]*)*")
_BLANK = re.compile(r"[ \t]*")


class Lines:
    """Where the keys of a text stand, counted from 1."""

    def __init__(self, known: Mapping[KeyPath, int] | None = None) -> None:
        self._known = dict(known or {})

    def of(self, *path: str | int) -> int:
        """The line of a key or array element; of the table it belongs to, if it is not there."""
        while path and path not in self._known:
            path = path[:-1]
        return self._known.get(path, 1)

    def __contains__(self, path: KeyPath) -> bool:
        return path in self._known

    @property
    def known(self) -> Mapping[KeyPath, int]:
        """All lines that are known."""
        return self._known


def find_lines(text: str) -> Lines:
    r"""Find the line of every key, table and array element.

    Args:
        text: Valid TOML.

    Example:
        >>> lines = find_lines('[[hosts]]\nname = "alpha"\n\n[[hosts]]\nssh_port = 22\n')
        >>> lines.of("hosts", 1, "ssh_port")
        5
        >>> lines.of("hosts", 1, "name")  # is not there; its table is
        4
    """
    return Lines(_Finder(text.replace("\r\n", "\n")).find())


class _Finder:
    """One walk over a text."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._breaks = [each.start() for each in re.finditer("\n", text)]
        self._lines: dict[KeyPath, int] = {}
        self._last_index: dict[KeyPath, int] = {}

    def find(self) -> dict[KeyPath, int]:
        table: KeyPath = ()
        self._skip(_GAP)
        while self._at < len(self._text):
            if self._text[self._at] == "[":
                table = self._header()
            else:
                self._pair(table)
            self._skip(_GAP)
        return self._lines

    def _header(self) -> KeyPath:
        """Read `[a.b]` or `[[a.b]]`; the path of the table that it opens."""
        line = self._line
        is_array = self._text.startswith("[[", self._at)
        self._at += 2 if is_array else 1
        *parents, last = self._key()
        self._at += 2 if is_array else 1
        table: KeyPath = ()
        for part in parents:
            table = self._latest((*table, part))
            self._lines.setdefault(table, line)
        table = (*table, last)
        if is_array:
            self._lines.setdefault(table, line)
            self._last_index[table] = self._last_index.get(table, -1) + 1
            table = self._latest(table)
        self._lines[table] = line
        return table

    def _latest(self, table: KeyPath) -> KeyPath:
        """The table itself, or the one that an array of tables ends with so far."""
        index = self._last_index.get(table)
        return table if index is None else (*table, index)

    def _pair(self, table: KeyPath) -> None:
        """Read `key = value`."""
        line = self._line
        path = table
        for part in self._key():
            path = (*path, part)
            self._lines.setdefault(path, line)
        self._at += 1  # the equals sign
        self._skip(_GAP)
        self._value(path)

    def _key(self) -> list[str]:
        """Read a key with dots, up to what follows it."""
        parts = []
        while True:
            self._skip(_BLANK)
            if bare := _BARE_KEY.match(self._text, self._at):
                parts.append(bare[0])
                self._at = bare.end()
            else:
                quoted = self._skip(_STRING)
                (part,) = tomllib.loads(f"{quoted} = 0")
                parts.append(part)
            self._skip(_BLANK)
            if self._text[self._at] != ".":
                return parts
            self._at += 1

    def _value(self, path: KeyPath) -> None:
        first = self._text[self._at]
        if first == "[":
            self._array(path)
        elif first == "{":
            self._inline_table(path)
        elif first in "\"'":
            self._skip(_STRING)
        else:
            self._skip(_SCALAR)

    def _array(self, path: KeyPath) -> None:
        self._at += 1
        index = 0
        while self._has_more("]"):
            self._lines[*path, index] = self._line
            self._value((*path, index))
            index += 1

    def _inline_table(self, path: KeyPath) -> None:
        self._at += 1
        while self._has_more("}"):
            self._pair(path)

    def _has_more(self, closing: str) -> bool:
        """Step over a comma, and over the closing bracket if nothing comes before it."""
        self._skip(_GAP)
        if self._text[self._at] == ",":
            self._at += 1
            self._skip(_GAP)
        if self._text[self._at] != closing:
            return True
        self._at += 1
        return False

    def _skip(self, token: re.Pattern[str]) -> str:
        """Step over a token; its text."""
        match = token.match(self._text, self._at)
        assert match
        self._at = match.end()
        return match[0]

    @property
    def _line(self) -> int:
        return bisect_right(self._breaks, self._at) + 1
