"""Sees the first error of the user's code, which an engine may lose on its way out."""

import contextlib
import threading
import traceback
from collections.abc import Callable, Iterator
from typing import Any

_METHODS = (
    *("list_parts", "build_part", "build"),
    *("next_batch", "next_awake", "snapshot", "close", "write_batch"),
    *("on_batch", "on_notify", "on_eof", "notify_at"),
)
"""What an engine calls of sources, sinks, their partitions and stateful logics."""

_PLAIN = (list, tuple, dict, str, bytes, int, float, bool, type(None))


class Witness:
    """Prints the first error with its traceback.

    Args:
        say: Takes the text.

    Attributes:
        failed: Set once there was one.
    """

    def __init__(self, say: Callable[[str], None]) -> None:
        self.failed = threading.Event()
        self._say = say
        self._lock = threading.Lock()
        self._known: set[type] = set()

    def watch_class(self, kind: type, step: str) -> None:
        """Watch what an engine calls of a class, where it is defined, once for each class.

        Args:
            kind: The class.
            step: ID of the step that it belongs to.
        """
        for each in kind.__mro__:
            if each in self._known or each is object:
                continue
            self._known.add(each)
            for name in _METHODS:
                method = vars(each).get(name)
                if callable(method):
                    # What is not written in Python cannot be changed, and has no user's code.
                    with contextlib.suppress(TypeError, AttributeError):
                        setattr(each, name, self.guarded(method, step))

    def guarded(self, code: Callable[..., Any], step: str) -> Callable[..., Any]:
        """The same function, whose errors are seen, and those of what it returns.

        Args:
            code: The function.
            step: ID of the step that it belongs to.
        """

        def guard(*words: Any, **named: Any) -> Any:
            try:
                result = code(*words, **named)
            except BaseException as error:
                self._saw(error, step)
                raise
            if isinstance(result, _PLAIN):
                return result
            if hasattr(result, "__next__"):
                return self._items(result, step)
            self.watch_class(type(result), step)
            return result

        return guard

    def _items(self, items: Iterator[Any], step: str) -> Iterator[Any]:
        try:
            yield from items
        except BaseException as error:
            self._saw(error, step)
            raise

    def _saw(self, error: BaseException, step: str) -> None:
        # These are how iterators end, and how a test stops a dataflow.
        if isinstance(error, (StopIteration, GeneratorExit, KeyboardInterrupt)):
            return
        if type(error).__name__ == "AbortExecution":
            return
        with self._lock:
            if self.failed.is_set():
                return
            # From where it was raised on: that it was watched is of no interest.
            its_own = error.__traceback__ and error.__traceback__.tb_next
            text = "".join(traceback.format_exception(type(error), error, its_own))
            self._say(f"{text}hostmesh: this was in step {step}")
            self.failed.set()
