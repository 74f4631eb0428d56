"""What a command on a host is to whoever talks to it."""

from typing import Protocol


class Channel(Protocol):
    """Standard input and output of a command that runs on a host.

    All methods may be called from any thread. What one call of `send` is given stays in one piece.
    """

    def send(self, data: bytes | bytearray | memoryview) -> None:
        """Send all of it.

        Raises:
            LostError: If the command cannot be reached any more.
        """

    def receive(self, limit: int) -> bytes:
        """Wait for output, at most that many bytes of it; empty at the end."""

    def close(self) -> None:
        """End the connection; whoever waits in `send` or `receive` need not wait any more.

        The command sees the end of its input, and nothing else is done to it. A second call does
        nothing.
        """

    @property
    def complaint(self) -> str:
        """The end of what the command has written to standard error, without escape sequences."""
