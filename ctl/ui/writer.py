"""Write many small texts soon, but not each by itself."""

import threading
from collections.abc import Callable
from typing import Self

_DELAY_SECONDS = 0.005
"""What comes within it is one write: lines come in bursts, and a write costs as much as a line."""


class Writer:
    """Writes texts from a thread of its own; use it in a `with`.

    Args:
        put: Writes a text.
    """

    def __init__(self, put: Callable[[str], None]) -> None:
        self._put = put
        self._texts: list[str] = []
        self._error: Exception | None = None
        self._closed = False
        self._wanted = threading.Event()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._work, name="writer", daemon=True)

    def __enter__(self) -> Self:
        """Begin."""
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        """Write the rest; raise why that failed, unless another error is under way."""
        self._closed = True
        self._ended.set()
        self._wanted.set()
        self._thread.join()
        if kind is None and self._error is not None:
            raise self._error

    def write(self, text: str) -> None:
        """Have a text written within milliseconds; raise why an earlier one could not be."""
        if self._error is not None:
            raise self._error
        self._texts.append(text)
        if not self._wanted.is_set():
            self._wanted.set()

    def _work(self) -> None:
        try:
            while not self._closed:
                self._wanted.wait()
                self._ended.wait(_DELAY_SECONDS)
                # Cleared before the texts are taken, so that one that comes between is not lost.
                self._wanted.clear()
                self._write()
            self._write()
        except Exception as error:
            self._error = error

    def _write(self) -> None:
        # Another thread may append meanwhile: what it adds is beyond the count.
        count = len(self._texts)
        if count:
            self._put("".join(self._texts[:count]))
            del self._texts[:count]
