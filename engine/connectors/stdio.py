"""A sink that is the standard output."""

import os
import sys
import threading
from collections.abc import Iterator
from contextlib import suppress
from io import UnsupportedOperation
from select import PIPE_BUF
from typing import Any

from engine.errors import CannotWriteError
from engine.outputs import DynamicSink, StatelessSinkPartition

# Without it a worker could add to what another one has written and not flushed yet.
_writing = threading.Lock()


def _pieces(text: str) -> Iterator[str]:
    """Cut whole lines into pieces that a pipe takes as one, so that no other process tears them."""
    limit = PIPE_BUF if text.isascii() else PIPE_BUF // 4
    begin = 0
    while len(text) - begin > limit:
        end = text.rfind("\n", begin, begin + limit) + 1 or text.find("\n", begin + limit) + 1
        yield text[begin:end]
        begin = end
    yield text[begin:]


def _stop_writing() -> None:
    """Let what is still in buffers go nowhere, or it would fail again at exit."""
    with suppress(AttributeError, UnsupportedOperation):
        descriptor = sys.stdout.fileno()
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, descriptor)
        os.close(nowhere)


class _StdOutPartition(StatelessSinkPartition[Any]):
    def write_batch(self, items: list[Any]) -> None:
        if sys.stdout is None:
            msg = "the standard output is closed"
            raise CannotWriteError(msg)
        text = "".join([f"{item!s}\n" for item in items])
        with _writing:
            try:
                for piece in _pieces(text):
                    sys.stdout.write(piece)
                    sys.stdout.flush()
            except BrokenPipeError as error:
                _stop_writing()
                msg = "nobody reads the standard output any more"
                raise CannotWriteError(msg) from error
            except OSError as error:
                _stop_writing()
                msg = f"cannot write to the standard output: {error.strerror}"
                raise CannotWriteError(msg) from error


class StdOutSink(DynamicSink[Any]):
    """Writes each item, as `str` gives it, to a line of the standard output of its worker.

    Lines of several workers and processes mix, but none is torn apart if it is at most 4096
    bytes long.

    If the reader goes away, as `head` does, the run ends with a `CannotWriteError`.

    >>> StdOutSink().build("flow.out", 0, 1).write_batch(["a", 1])
    a
    1
    """

    def build(
        self,
        step_id: str,  # noqa: ARG002
        worker_index: int,  # noqa: ARG002
        worker_count: int,  # noqa: ARG002
    ) -> StatelessSinkPartition[Any]:
        """Write to the standard output of this process."""
        return _StdOutPartition()
