"""Open a deployment for a command, and end the command well."""

import functools
import getpass
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from ctl.errors import CtlError, InterruptedCommandError
from ctl.ui.console import say, show_json
from ctl.ui.live import View

if TYPE_CHECKING:
    from ctl.deployment import Deployment


@contextmanager
def opened(
    path: Path, view: View, *, accept_new_host_keys: bool, connect_timeout: float
) -> Iterator["Deployment"]:
    """Load a deployment, show what it does, and close it.

    Raises:
        CtlError: If the inventory cannot be loaded.
    """
    # `ctl --help` does without it.
    from ctl.deployment import Deployment

    with interruptible("nothing was changed"):
        deployment = Deployment.load(
            path,
            host_keys="accept-new" if accept_new_host_keys else "strict",
            connect_timeout=connect_timeout,
            ask=_asking(view) if sys.stdin.isatty() else None,
            progress=view,
        )
    view.expect(host.name for host in deployment.inventory.hosts)
    try:
        yield deployment
    finally:
        deployment.close()


@contextmanager
def interruptible(state: str) -> Iterator[None]:
    """Have Ctrl-C say what state things are in.

    Args:
        state: What to say, as a clause, unless the interrupt itself knows better.

    Raises:
        InterruptedCommandError: If Ctrl-C came.
    """
    try:
        yield
    except KeyboardInterrupt as interrupt:
        problem = f"interrupted; {str(interrupt) or state}"
        raise InterruptedCommandError(problem) from None


@contextmanager
def errors_as_json(wanted: bool) -> Iterator[None]:
    """Print an error on stdout too, for machines, if that is wanted."""
    try:
        yield
    except CtlError as error:
        if wanted:
            from ctl.ui.errors import to_json

            show_json(to_json(error))
        raise


def _asking(view: View) -> Callable[[str], str | None]:
    """Make the question for a passphrase: hosts are dialled at once, but ask in turn."""
    return functools.partial(_ask, view, threading.Lock())


def _ask(view: View, lock: threading.Lock, question: str) -> str | None:
    with lock, view.paused():
        try:
            return getpass.getpass(question)
        except EOFError:
            # The prompt has left the cursor in its line.
            say("")
            return None
