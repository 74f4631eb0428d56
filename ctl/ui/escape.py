"""Keep text that comes from elsewhere from driving the terminal it is shown on."""

import re

_CONTROL = re.compile("\x1b\\[[0-9;:]*m|[\x00-\x08\x0a-\x1f\x7f-\x9f]")
_COLOUR = "\x1b["
_RESET = "\x1b[0m"


def escape(text: str) -> str:
    r"""Escape control characters other than tab; sequences that only colour may pass.

    What is coloured ends with the line.

    Example:
        >>> escape("a\x1b]0;title\x07")
        'a\\x1b]0;title\\x07'
    """
    if text.isprintable():
        return text
    escaped = _CONTROL.sub(_replace, text)
    return escaped + _RESET if _COLOUR in escaped else escaped


def plain(text: str) -> str:
    r"""Escape control characters in a text of several lines, colours included.

    Example:
        >>> plain("one\ntwo\r")
        'one\ntwo\\x0d'
    """
    return "\n".join(
        line if line.isprintable() else re.sub("[\x00-\x08\x0b-\x1f\x7f-\x9f]", _code, line)
        for line in text.split("\n")
    )


def _replace(found: re.Match[str]) -> str:
    return found[0] if len(found[0]) > 1 else _code(found)


def _code(found: re.Match[str]) -> str:
    return f"\\x{ord(found[0]):02x}"
