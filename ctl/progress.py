"""How the phases of a command say where they are, without knowing who looks on."""

from typing import Literal, Protocol

PhaseName = Literal["connect", "fetch", "check", "push", "stage", "switch", "ready", "commit"]
PhaseState = Literal["started", "done", "failed"]


class Progress(Protocol):
    """Whoever looks on; every method may be called from any thread."""

    def phase(self, name: PhaseName, host: str | None, state: PhaseState, detail: str = "") -> None:
        """Take it that a phase has started or ended.

        Args:
            name: The phase.
            host: Where; None for all hosts together.
            state: What has become of it.
            detail: A clause beside it, such as why it failed.
        """

    def pushed(self, host: str, sent_bytes: int, total_bytes: int) -> None:
        """Take it that so much of what a host lacks has been sent to it."""

    def note(self, text: str) -> None:
        """Take a sentence that is good to know."""

    def warn(self, text: str) -> None:
        """Take a sentence about something that is not as it should be."""


class Silent:
    """Nobody looks on."""

    def phase(self, name: PhaseName, host: str | None, state: PhaseState, detail: str = "") -> None:
        """Say nothing."""

    def pushed(self, host: str, sent_bytes: int, total_bytes: int) -> None:
        """Say nothing."""

    def note(self, text: str) -> None:
        """Say nothing."""

    def warn(self, text: str) -> None:
        """Say nothing."""
