"""Pack a layer: as a host unpacks it, see `ctl.remote.blocks`."""

import json
import struct
import zlib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from ctl.errors import FlowError
from ctl.remote.blocks import BLOCK_BYTES, LENGTH, WINDOW

_LEVEL = 2  # of zlib nearly as small as the default level, in half the time
_HEADER = struct.Struct(">II")


class Block(NamedTuple):
    """A part of a packed layer, which can be unpacked without the others.

    Args:
        data: Compressed.
        size: In bytes, uncompressed.
    """

    data: bytes
    size: int


def pack(listing: list[tuple[str, bool, int]], contents: Iterable[bytes]) -> Iterator[Block]:
    """Make blocks while they are read.

    Args:
        listing: Path, whether it is executable, and size in bytes of each file.
        contents: All of their bytes, in any portions.
    """
    deflate = _deflate()
    names = json.dumps(listing, separators=(",", ":")).encode("ascii")
    waiting = bytearray(LENGTH.pack(len(names)) + names)
    for portion in contents:
        waiting += portion
        while len(waiting) >= BLOCK_BYTES:
            block = waiting[:BLOCK_BYTES]
            del waiting[:BLOCK_BYTES]
            yield Block(deflate(block), len(block))
    yield Block(deflate(waiting), len(waiting))


def save(blocks: Iterable[Block], file: Path) -> None:
    """Write blocks to a file.

    Raises:
        OSError: If it cannot be written.
    """
    with file.open("wb") as packed:
        for block in blocks:
            packed.write(_HEADER.pack(len(block.data), block.size))
            packed.write(block.data)


def saved(file: Path) -> Iterator[Block]:
    """Read the blocks of a file.

    Raises:
        FlowError: If it cannot be read, or not to its end.
    """
    try:
        with file.open("rb") as packed:
            while header := packed.read(_HEADER.size):
                length, size = _HEADER.unpack(header)
                block = Block(packed.read(length), size)
                if len(block.data) < length:
                    raise _unreadable(file, "it ends too early")
                yield block
    except struct.error:
        raise _unreadable(file, "it ends too early") from None
    except OSError as error:
        raise _unreadable(file, error.strerror or str(error)) from None


def _unreadable(file: Path, why: str) -> FlowError:
    return FlowError(f"{file} cannot be pushed: {why}", "remove it, and deploy again")


def _deflate() -> Callable[[bytearray], bytes]:
    try:
        # As small, in a fifth of the time.
        from isal.isal_zlib import compress
    except ImportError:
        # It has no wheel for this kind of machine.
        compress = zlib.compress
    return lambda data: compress(data, _LEVEL, WINDOW)
