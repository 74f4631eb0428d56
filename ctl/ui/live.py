"""What is shown while a command works: a line for each host on a terminal, else plain lines."""

import sys
import threading
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import TYPE_CHECKING, NamedTuple, Protocol, Self

from ctl.progress import PhaseName, PhaseState, Progress
from ctl.ui.console import is_terminal, say
from ctl.ui.escape import plain
from ctl.ui.quantities import size
from ctl.ui.redact import redact

if TYPE_CHECKING:
    from rich.live import Live
    from rich.table import Table

_MARKS: dict[PhaseState, str] = {"started": "…", "done": "✓", "failed": "✗"}
_STYLES: dict[PhaseState, str] = {"started": "cyan", "done": "green", "failed": "red"}
_REDRAWS_A_SECOND = 8
_PATIENCE_SECONDS = 1.0


class View(Progress, Protocol):
    """Shows how far a command is, from the `with` that it is used in to its end."""

    def __enter__(self) -> Self:
        """Begin to show."""

    def __exit__(self, *_: object) -> None:
        """Leave nothing behind but what has been said."""

    def expect(self, hosts: Iterable[str]) -> None:
        """Take the names of the hosts, in the order to show them in."""

    def paused(self) -> AbstractContextManager[None]:
        """Leave the terminal to somebody who asks a question."""


def working_view() -> View:
    """The view of a command that takes hosts through phases."""
    return TerminalView() if is_terminal(sys.stderr) else PlainView()


class Sentences:
    """Prints notes and warnings, and nothing of the phases."""

    def __enter__(self) -> Self:
        """Begin to show."""
        return self

    def __exit__(self, *_: object) -> None:
        """Leave nothing behind but what has been said."""

    def expect(self, hosts: Iterable[str]) -> None:
        """Take the names of the hosts, in the order to show them in."""

    def paused(self) -> AbstractContextManager[None]:
        """Leave the terminal to somebody who asks a question."""
        return nullcontext()

    def phase(self, name: PhaseName, host: str | None, state: PhaseState, detail: str = "") -> None:
        """Say nothing."""

    def pushed(self, host: str, sent_bytes: int, total_bytes: int) -> None:
        """Say nothing."""

    def note(self, text: str) -> None:
        """Print a sentence that is good to know."""
        say(text)

    def warn(self, text: str) -> None:
        """Print a sentence about something that is not as it should be."""
        say(f"warning: {text}")


class Patient(Sentences):
    """Says which hosts have not answered yet, if that takes long."""

    def __init__(self) -> None:
        self._awaited: dict[str, None] = {}
        self._timer: threading.Timer | None = None

    def phase(self, name: PhaseName, host: str | None, state: PhaseState, detail: str = "") -> None:  # noqa: ARG002 - of the protocol
        """Take note of who answers."""
        if name != "connect":
            return
        if host is not None:
            if state == "started":
                self._awaited[host] = None
            else:
                self._awaited.pop(host, None)
            return
        self._stop()
        if state == "started":
            self._begin()

    @contextmanager
    def paused(self) -> Iterator[None]:
        """It is the user who is waited for."""
        self._stop()
        try:
            yield
        finally:
            self._begin()

    def _begin(self) -> None:
        self._timer = threading.Timer(_PATIENCE_SECONDS, self._say)
        self._timer.daemon = True
        self._timer.start()

    def _stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def _say(self) -> None:
        if awaited := list(self._awaited):
            say(f"waiting for {', '.join(awaited)}")


class PlainView(Sentences):
    """Prints a line whenever a host is through a phase, or fails in it."""

    def __init__(self) -> None:
        self._width = 0
        self._totals: dict[str, int] = {}

    def expect(self, hosts: Iterable[str]) -> None:
        """Take the names of the hosts, for how long they are."""
        self._width = max(map(len, hosts), default=0)

    def phase(self, name: PhaseName, host: str | None, state: PhaseState, detail: str = "") -> None:
        """Print what has become of a phase on a host."""
        if host is None or state == "started":
            return
        if name == "push" and not detail and host in self._totals:
            detail = size(self._totals[host])
        # The rest, such as a traceback, comes with the error at the end.
        first, _, _ = detail.partition("\n")
        end = f"  {first}" if first else ""
        say(f"{host:<{self._width}}  {_MARKS[state]} {name}{end}")

    def pushed(self, host: str, sent_bytes: int, total_bytes: int) -> None:  # noqa: ARG002 - of the protocol
        """Remember how much it was, for the line at the end of the push."""
        self._totals[host] = total_bytes


class _Row(NamedTuple):
    """Where a host is."""

    phase: PhaseName
    state: PhaseState
    detail: str = ""


class TerminalView(Sentences):
    """Redraws a line for each host; it is gone when the command has ended."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._rows: dict[str, _Row | None] = {}
        self._live: Live | None = None

    def __enter__(self) -> Self:
        """Begin to redraw."""
        # Slow to import, and needed only on a terminal.
        from rich.console import Console
        from rich.live import Live

        self._live = Live(
            console=Console(file=sys.stderr, highlight=False, markup=False, emoji=False),
            get_renderable=self._table,
            transient=True,
            redirect_stdout=False,
            refresh_per_second=_REDRAWS_A_SECOND,
        )
        self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Remove the lines."""
        if self._live is not None:
            self._live.stop()

    def expect(self, hosts: Iterable[str]) -> None:
        """Show these hosts, in this order."""
        with self._lock:
            self._rows = {host: self._rows.get(host) for host in hosts}

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Remove the lines for as long as somebody asks a question."""
        if self._live is None:
            yield
            return
        self._live.stop()
        try:
            yield
        finally:
            self._live.start()

    def phase(self, name: PhaseName, host: str | None, state: PhaseState, detail: str = "") -> None:
        """Show a phase in the line of its host; one of all hosts has no line."""
        if host is not None:
            with self._lock:
                self._rows[host] = _Row(name, state, detail)

    def pushed(self, host: str, sent_bytes: int, total_bytes: int) -> None:
        """Show how much of it has been sent."""
        detail = f"{size(sent_bytes)} of {size(total_bytes)}"
        with self._lock:
            self._rows[host] = _Row("push", "started", detail)

    def _table(self) -> "Table":
        from rich.table import Table
        from rich.text import Text

        with self._lock:
            rows = dict(self._rows)
        grid = Table.grid(padding=(0, 2, 0, 0))
        for host, row in rows.items():
            if row is None:
                grid.add_row(Text(host), Text(""))
                continue
            detail = redact(plain(row.detail)).partition("\n")[0]
            what = Text(f"{_MARKS[row.state]} {row.phase}", style=_STYLES[row.state])
            grid.add_row(Text(host), what, Text(detail, overflow="ellipsis", no_wrap=True))
        return grid
