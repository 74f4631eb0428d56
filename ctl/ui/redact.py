"""Keep the values of secrets out of everything that is printed."""

import re
import threading
from typing import Any

from ctl.remote.hiding import forms

MASK = "***"


class Redactor:
    """Masks values in texts; values may be added at any time, from any thread."""

    def __init__(self) -> None:
        self._forms: tuple[str, ...] = ()
        self._pattern = re.compile("(?!)")
        self._lock = threading.Lock()

    def hide(self, *values: str) -> None:
        """Mask these values from now on, also quoted for Python, JSON or a URL."""
        with self._lock:
            known = {*self._forms, *(form for value in values for form in forms(value))}
            # The longest first, or a value inside of another would leave the rest of it.
            self._forms = tuple(sorted(known, key=lambda form: (-len(form), form)))
            self._pattern = re.compile("|".join(map(re.escape, self._forms)) or "(?!)")

    def __call__(self, text: str) -> str:
        """Mask what is to be masked."""
        # Looking for each is much faster than the pattern, and nearly always the end of it.
        for form in self._forms:
            if form in text:
                return self._pattern.sub(MASK, text)
        return text

    def inside(self, value: Any) -> Any:
        """Mask the strings inside of a value for JSON, so that it stays valid."""
        if isinstance(value, str):
            return self(value)
        if isinstance(value, dict):
            return {key: self.inside(each) for key, each in value.items()}
        if isinstance(value, list | tuple):
            return [self.inside(each) for each in value]
        return value


redact = Redactor()
"""The one that all output of this process goes through."""
