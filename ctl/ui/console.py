"""The two streams of a command, and who reads them."""

import contextlib
import json
import os
import sys
from typing import Any, TextIO

from ctl.errors import CannotWriteError
from ctl.ui.escape import plain
from ctl.ui.redact import redact


class UnreadError(Exception):
    """Whoever read the results, such as `head`, has had enough."""


def say(text: str) -> None:
    """Print prose, on stderr; that nobody can read it is no reason to give up."""
    with contextlib.suppress(OSError):
        sys.stderr.write(f"{redact(plain(text))}\n")
        sys.stderr.flush()


def show(text: str) -> None:
    """Print a result, on stdout; raises what `put` does."""
    put(f"{redact(plain(text))}\n")


def show_json(value: Any, *, indent: int | None = None) -> None:
    """Print a result for machines, on stdout; raises what `put` does."""
    put(json.dumps(redact.inside(value), ensure_ascii=False, indent=indent) + "\n")


def put(text: str) -> None:
    """Write to stdout as it is.

    Raises:
        UnreadError: If nobody reads it any more.
        CannotWriteError: If it cannot be written.
    """
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except BrokenPipeError:
        _drop_stdout()
        raise UnreadError from None
    except OSError as error:
        _drop_stdout()
        problem = f"cannot write to stdout: {error.strerror}"
        raise CannotWriteError(problem) from None


def is_terminal(stream: TextIO) -> bool:
    """Whether somebody looks at a stream who can be shown more than plain lines."""
    return os.environ.get("TERM") != "dumb" and stream.isatty()


def takes_colour(stream: TextIO) -> bool:
    """Whether somebody looks at a stream who wants colours."""
    return not os.environ.get("NO_COLOR") and is_terminal(stream)


def _drop_stdout() -> None:
    """Forget what could not be written; Python would try it again at its end."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)
    sys.stdout.flush()
