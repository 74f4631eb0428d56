"""Show a text again and again: in place on a terminal, else one below the other."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from ctl.ui.console import is_terminal, show
from ctl.ui.escape import plain
from ctl.ui.redact import redact


@contextmanager
def redrawn() -> Iterator[Callable[[str], None]]:
    """Give what shows a text on stdout in place of the one before."""
    if not is_terminal(sys.stdout):
        yield lambda text: show(f"{text}\n")
        return
    # Slow to import, and needed only on a terminal.
    from rich.console import Console
    from rich.live import Live
    from rich.text import Text

    console = Console(highlight=False, markup=False, emoji=False)
    with Live(console=console, auto_refresh=False) as live:

        def draw(text: str) -> None:
            shown = Text(redact(plain(text)), no_wrap=True, overflow="ellipsis")
            live.update(shown, refresh=True)

        yield draw
