"""Which connections of an engine lead to its peers: by themselves they end at the relay.

A file says so for each relay, with one byte for each port that an engine may dial from: 0, or the
ID of the peer that the connection is joined with, modulo 255, plus 1. Relays of one host listen
at the same places, so any of them may have taken what an engine dials.
"""

import os
from contextlib import suppress
from pathlib import Path

_PORTS = 1 << 16
_PATTERN = "joined-{}"


def file_name(process: int) -> str:
    """The file of the relay of a process, in the folder of its launch."""
    return _PATTERN.format(process)


def is_joined(folder: Path, port: int, peer: int) -> bool:
    """Whether a connection that an engine has made has come to its peer.

    Args:
        folder: Of the launch.
        port: The engine's own of that connection.
        peer: ID of the peer that it has dialed.
    """
    for file in folder.glob(_PATTERN.format("*")):
        with suppress(FileNotFoundError), file.open("rb", buffering=0) as marks:
            marks.seek(port)
            if marks.read(1) == bytes([_mark(peer)]):
                return True
    return False


class Joined:
    """Keeps the file of a relay.

    Args:
        file: Where.

    Raises:
        OSError: If it cannot be written.
    """

    def __init__(self, file: Path) -> None:
        # Of one size, and changed in place: a full disk is no reason to take a peer for lost.
        self._fd = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
        os.pwrite(self._fd, bytes(_PORTS), 0)

    def add(self, port: int, peer: int) -> None:
        """A connection from a port of this host is joined."""
        os.pwrite(self._fd, bytes([_mark(peer)]), port)

    def remove(self, port: int) -> None:
        """It has ended."""
        os.pwrite(self._fd, b"\0", port)


def _mark(peer: int) -> int:
    return peer % 255 + 1
