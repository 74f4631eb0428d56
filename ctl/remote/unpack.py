"""Take a packed layer, and put it in place whole or not at all."""

import ctypes
import json
import os
import secrets
import zlib
from collections import deque
from collections.abc import Callable, Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

from ctl.remote.blocks import BLOCK_BYTES, LENGTH, WINDOW
from ctl.remote.digest import Item, digest_of_items
from ctl.remote.errors import LOST, RemoteError, cannot_write
from ctl.remote.removing import remove_tree
from ctl.remote.root import Root

_LIST_LIMIT = 64 << 20
_LIBC = ctypes.CDLL(None, use_errno=True)
_START_WRITING = 2
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_NO_PART = frozenset(("", ".", ".."))
_DAMAGE = (zlib.error, EOFError, ValueError, TypeError)


class _Stream:
    """Blocks as one stream.

    Args:
        blocks: Uncompressed.
    """

    def __init__(self, blocks: Iterator[bytes]) -> None:
        self._blocks = blocks
        self._left = memoryview(b"")

    def read(self, size: int) -> Iterator[memoryview]:
        """The next bytes, in portions.

        Raises:
            EOFError: If there are not as many.
        """
        while size:
            if not self._left:
                self._left = memoryview(self._next())
            portion, self._left = self._left[:size], self._left[size:]
            size -= len(portion)
            yield portion

    def end(self) -> None:
        """Raise ValueError if there is more."""
        if self._left or any(self._blocks):
            msg = "there is more than its files"
            raise ValueError(msg)

    def _next(self) -> bytes:
        for block in self._blocks:
            if block:
                return block
        msg = "it ends too early"
        raise EOFError(msg)


def receive(root: Root, digest: str, take: Callable[[], bytes]) -> None:
    """Unpack a layer beside its place, check its digest, and rename it into place.

    Args:
        root: Of this host.
        digest: Of the layer.
        take: Gives the next block, compressed, and nothing at the end.

    Raises:
        RemoteError: If it cannot be written (73), or what came is not the layer (74).
    """
    place = root.layer(digest)
    beside = place.parent / f".coming-{secrets.token_hex(8)}"
    try:
        beside.mkdir(mode=0o700, parents=True)
        if digest_of_items(_unpack(_Stream(_inflated(take)), beside)) != digest:
            msg = f"layer {digest[:6]} arrived with other contents than were sent"
            raise RemoteError(LOST, msg, "deploy again")
        _write_out(beside)
        try:
            beside.rename(place)
        except OSError:
            # Another session may have been as fast.
            if not place.is_dir():
                raise
    except _DAMAGE as error:
        msg = f"layer {digest[:6]} arrived damaged: {error}"
        raise RemoteError(LOST, msg, "deploy again") from error
    except OSError as error:
        raise cannot_write(error, "a layer") from error
    finally:
        if beside.exists():
            remove_tree(beside)


def _inflated(take: Callable[[], bytes]) -> Iterator[bytes]:
    first, second = take(), b""
    if first:
        yield _inflate(first)
        second = take()
    if second:
        yield from _inflated_ahead(second, take)


def _inflated_ahead(chunk: bytes, take: Callable[[], bytes]) -> Iterator[bytes]:
    """Inflate on several cores, which takes longer than all the rest."""
    # Slow to import, and most layers are one block.
    from concurrent.futures import Future, ThreadPoolExecutor

    count = min(4, os.cpu_count() or 1)
    waiting: deque[Future[bytes]] = deque()
    with ThreadPoolExecutor(count) as pool:
        while chunk or waiting:
            if chunk:
                waiting.append(pool.submit(_inflate, chunk))
                chunk = take()
            if not chunk or len(waiting) > 2 * count:
                yield waiting.popleft().result()


def _inflate(chunk: bytes) -> bytes:
    return zlib.decompress(chunk, WINDOW, BLOCK_BYTES)


def _unpack(stream: _Stream, folder: Path) -> Iterator[Item]:
    made = {""}
    for name, executable, size in _listing(stream):
        # Strings, since there may be many thousands.
        parent, _, _ = _checked(name).rpartition("/")
        if parent not in made:
            folder.joinpath(parent).mkdir(parents=True, exist_ok=True)
            made.add(parent)
        digest = sha256()
        fd = os.open(f"{folder}/{name}", _NEW, 0o700 if executable else 0o600)
        try:
            for portion in stream.read(size):
                digest.update(portion)
                _write(fd, portion)
            # The disk begins now, so that in the end there is little to wait for.
            _LIBC.sync_file_range(fd, ctypes.c_int64(0), ctypes.c_int64(0), _START_WRITING)
        finally:
            os.close(fd)
        yield Item(os.fsencode(name), executable, size, digest.hexdigest())
    stream.end()


def _listing(stream: _Stream) -> list[tuple[str, bool, int]]:
    [length] = LENGTH.unpack(b"".join(stream.read(LENGTH.size)))
    if length > _LIST_LIMIT:
        msg = "its list of files is too long"
        raise ValueError(msg)
    listing: list[Any] = json.loads(b"".join(stream.read(length)))
    for name, executable, size in listing:
        if (
            type(name) is not str
            or type(executable) is not bool
            or type(size) is not int
            or size < 0
        ):
            msg = "it has no list of files"
            raise ValueError(msg)
    return listing


def _checked(name: str) -> str:
    if not _NO_PART.isdisjoint(name.split("/")):
        msg = f"{name!r} has no place in a layer"
        raise ValueError(msg)
    return name


def _write(fd: int, data: memoryview) -> None:
    while data:
        data = data[os.write(fd, data) :]


def _write_out(folder: Path) -> None:
    """Have the disk hold it: what gets its name is taken for whole, also after a power cut."""
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        if _LIBC.syncfs(fd):
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number))
    finally:
        os.close(fd)
