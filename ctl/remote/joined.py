"""Which connections of an engine lead to its peers: by themselves they end at the relay.

A file says so for each relay, with one bit for each peer and each port that an engine may dial it
from. Relays of one host listen at the same places, so any of them may have taken what an engine
dials; the same port may be that of connections with several peers.
"""

import contextlib
import errno
import os
from collections.abc import Iterable
from pathlib import Path

_PEER_BYTES = (1 << 16) // 8
_PATTERN = "joined-{}"


def file_name(process: int) -> str:
    """The file of the relay of a process, in the folder of its launch."""
    return _PATTERN.format(process)


def is_joined(folder: Path, peer: int, port: int) -> bool:
    """Whether a connection that an engine has made has come to its peer.

    Args:
        folder: Of the launch.
        peer: ID of the peer that it has dialed.
        port: The engine's own of that connection.
    """
    place, bit = _place(peer, port)
    for file in folder.glob(_PATTERN.format("*")):
        with contextlib.suppress(FileNotFoundError), file.open("rb", buffering=0) as bits:
            bits.seek(place)
            if (bits.read(1) or b"\0")[0] & bit:
                return True
    return False


class Joined:
    """Keeps the file of a relay.

    Args:
        file: Where.
        peers: IDs of the processes that the relay leads to.

    Raises:
        OSError: If it cannot be written.
    """

    def __init__(self, file: Path, peers: Iterable[int]) -> None:
        self._bits = bytearray((max(peers, default=-1) + 1) * _PEER_BYTES)
        # Of one size, and changed in place: a full disk is no reason to take a peer for lost.
        self._fd = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
        if os.pwrite(self._fd, self._bits, 0) < len(self._bits):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(file))

    def add(self, peer: int, port: int) -> None:
        """A connection from a port of this host is joined with one of a peer."""
        place, bit = _place(peer, port)
        self._write(place, self._bits[place] | bit)

    def remove(self, peer: int, port: int) -> None:
        """It has ended."""
        place, bit = _place(peer, port)
        self._write(place, self._bits[place] & ~bit)

    def _write(self, place: int, value: int) -> None:
        self._bits[place] = value
        # Some file systems need room for that too; what the relay carries does not hang on it.
        with contextlib.suppress(OSError):
            os.pwrite(self._fd, self._bits[place : place + 1], place)


def _place(peer: int, port: int) -> tuple[int, int]:
    """Where the bit of a connection is: the byte, and its value in that."""
    return peer * _PEER_BYTES + port // 8, 1 << port % 8
