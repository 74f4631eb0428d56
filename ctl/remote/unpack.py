"""Take a layer that comes as a stream, and put it in place whole or not at all."""

import ctypes
import io
import os
import shutil
import tarfile
import tempfile
import zlib
from collections.abc import Callable
from pathlib import Path, PurePosixPath

from ctl.remote.digest import digest_of
from ctl.remote.errors import LOST, RemoteError, cannot_write
from ctl.remote.root import Root

_LIBC = ctypes.CDLL(None, use_errno=True)
_START_WRITING = 2
_DAMAGE = (tarfile.TarError, zlib.error, EOFError, ValueError, TypeError)
"""What `tarfile` stumbles over; a header that ends too early is the last of them."""


class _Stream(io.RawIOBase):
    """Chunks as a file.

    Args:
        take: Gives the next chunk, and nothing at the end.
    """

    def __init__(self, take: Callable[[], bytes]) -> None:
        super().__init__()
        self._take = take
        self._chunk = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: "memoryview | bytearray") -> int:  # type: ignore[override]
        if not self._chunk:
            self._chunk = memoryview(self._take())
        count = min(len(buffer), len(self._chunk))
        buffer[:count] = self._chunk[:count]
        self._chunk = self._chunk[count:]
        return count


def receive(root: Root, digest: str, take: Callable[[], bytes]) -> None:
    """Unpack a layer beside its place, check its digest, and rename it into place.

    Args:
        root: Of this host.
        digest: Of the layer.
        take: Gives the next chunk of the gzip'd tar, and nothing at the end.

    Raises:
        RemoteError: If it cannot be written (73), or what came is not the layer (74).
    """
    place = root.layer(digest)
    beside: Path | None = None
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        beside = Path(tempfile.mkdtemp(prefix=".coming-", dir=place.parent))
        _extract(_Stream(take), beside)
        if digest_of(beside) != digest:
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
        if beside is not None:
            shutil.rmtree(beside, ignore_errors=True)


def _write_out(folder: Path) -> None:
    """Have the disk hold it: what gets its name is taken for whole, also after a power cut."""
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        if _LIBC.syncfs(fd):
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number))
    finally:
        os.close(fd)


def _extract(stream: io.RawIOBase, folder: Path) -> None:
    made: set[Path] = set()
    with tarfile.open(fileobj=io.BufferedReader(stream, 1 << 16), mode="r|gz") as archive:
        for member in archive:
            path = PurePosixPath(member.name)
            if not member.isreg() or path.is_absolute() or ".." in path.parts:
                msg = f"{member.name!r} has no place in a layer"
                raise tarfile.TarError(msg)
            target = folder / path
            if target.parent not in made:
                target.parent.mkdir(parents=True, exist_ok=True)
                made.add(target.parent)
            mode = 0o700 if member.mode & 0o100 else 0o600
            fd = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, mode)
            source = archive.extractfile(member)
            assert source is not None
            with os.fdopen(fd, "wb") as file:
                shutil.copyfileobj(source, file, 1 << 18)
                file.flush()
                # The disk begins now, so that in the end there is little to wait for.
                _LIBC.sync_file_range(fd, ctypes.c_int64(0), ctypes.c_int64(0), _START_WRITING)
