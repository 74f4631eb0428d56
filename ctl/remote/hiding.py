"""Keep the values of secrets out of texts, in whatever form they stand there."""

from collections.abc import Iterator, Mapping

_SHORTEST = 4
"""Characters of a secret, or of one of its lines; a shorter one is part of too many words."""


class Hiding:
    """Replaces the values of secrets by the names of their variables.

    Args:
        secrets: Values by variable.
    """

    def __init__(self, secrets: Mapping[str, str]) -> None:
        marks = {
            form.encode("utf-8", "surrogateescape"): f"[secret {name}]".encode()
            for name, value in secrets.items()
            for form in forms(value)
            # Of a value with several lines, each is hidden by itself.
            if "\n" not in form
        }
        self._marks = marks
        if marks:
            # Slow to import, as what `_quoted` needs; most processes have no secrets.
            import re

            # The longest first, or a value inside of another would leave the rest of it.
            ordered = sorted(marks, key=lambda form: -len(form))
            self._pattern = re.compile(b"|".join(map(re.escape, ordered)))

    def __call__(self, text: bytes) -> bytes:
        """Give the text without them."""
        # Looking for each is much faster than the pattern, and nearly always the end of it.
        if any(form in text for form in self._marks):
            return self._pattern.sub(lambda found: self._marks[found[0]], text)
        return text

    def lines(self, lines: list[bytes]) -> list[bytes]:
        """The same for lines, all at once: nearly always there is none in any."""
        return self(b"\n".join(lines)).split(b"\n") if self._marks else lines

    def inside(self, text: str) -> str:
        """The same for a text that is no bytes."""
        if not self._marks:
            return text
        try:
            data = text.encode("utf-8", "surrogateescape")
        except UnicodeEncodeError:
            # Half of a character that somebody has cut in two.
            data = text.encode("utf-8", "replace")
        return self(data).decode("utf-8", "surrogateescape")


def forms(value: str) -> frozenset[str]:
    """A secret and each of its lines, as they are and as Python, JSON and URLs quote them."""
    parts = {value, value.strip(), *(line.strip() for line in value.splitlines())}
    return frozenset(form for part in parts if len(part) >= _SHORTEST for form in _quoted(part))


def _quoted(text: str) -> Iterator[str]:
    # Slow to import, and most processes have no secrets.
    import json
    from urllib.parse import quote, quote_plus

    yield text
    for shown in (repr(text)[1:-1], ascii(text)[1:-1]):
        # Which quotes are escaped depends on what else is in a longer text.
        plain = shown.replace("\\'", "'")
        yield from (shown, plain, plain.replace("'", "\\'"))
    yield repr(text.encode("utf-8", "surrogateescape"))[2:-1]
    yield json.dumps(text)[1:-1]
    yield json.dumps(text, ensure_ascii=False)[1:-1]
    yield quote(text, errors="surrogateescape")
    yield quote(text, safe="", errors="surrogateescape")
    yield quote_plus(text, errors="surrogateescape")
