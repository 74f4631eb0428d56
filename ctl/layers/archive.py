"""A layer: files that are named by the digest of their content and sent as one stream."""

import hashlib
import itertools
import stat
import tarfile
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Literal, Protocol

from ctl.errors import FlowError
from ctl.remote.digest import Item, digest_of_items, read_item

Kind = Literal["engine", "code", "agent", "requirements"]

_CHUNK = 1 << 16
_LEVEL = 2  # of zlib nearly as small as the default level, in half the time
_GZIP = 16 + zlib.MAX_WBITS
_ENCODING = ("utf-8", "surrogateescape")
"""How names become bytes, whatever the locale of the operator is."""


class _Compressor(Protocol):
    def compress(self, data: bytes, /) -> bytes: ...

    def flush(self) -> bytes: ...


@dataclass(frozen=True)
class Entry:
    """A file of a layer; `of` makes one.

    Args:
        path: Where it is in the layer: relative, with `/`.
        source: The file it is read from, or the content itself.
        executable: Whether its owner may run it.
        size: In bytes.
        sha256: Of its content, in hex.
    """

    path: str
    source: Path | bytes
    executable: bool
    size: int
    sha256: str

    @classmethod
    def of(cls, path: str, source: Path | bytes) -> "Entry":
        """Read what is to be at a path of a layer.

        Raises:
            FlowError: If the path leads out of the layer, or the file cannot be read.
        """
        _check_path(path)
        if isinstance(source, bytes):
            return cls(path, source, False, len(source), hashlib.sha256(source).hexdigest())
        try:
            if not stat.S_ISREG(source.stat().st_mode):
                msg = f"{source} cannot be pushed: it is no regular file"
                raise FlowError(msg)
            with source.open("rb") as file:
                item = read_item(b"", file)
        except OSError as error:
            raise _unreadable(source, error) from None
        return cls(path, source, item.executable, item.size, item.sha256)

    @property
    def item(self) -> Item:
        """The file as the digest sees it."""
        return Item(self.path.encode(*_ENCODING), self.executable, self.size, self.sha256)

    def read(self) -> Iterator[bytes]:
        """The content in pieces.

        Raises:
            FlowError: If it is no longer what it was when the entry was made.
        """
        if isinstance(self.source, bytes):
            yield self.source
            return
        sha256 = hashlib.sha256()
        rest = self.size
        try:
            with self.source.open("rb") as file:
                # One byte more than there should be shows that the file has grown.
                while piece := file.read(min(_CHUNK, rest + 1)):
                    sha256.update(piece)
                    rest -= len(piece)
                    if rest < 0:
                        break
                    yield piece
        except OSError as error:
            raise _unreadable(self.source, error) from None
        if rest or sha256.hexdigest() != self.sha256:
            msg = f"{self.source} changed while it was being pushed"
            raise FlowError(msg, "try again")


@dataclass(frozen=True)
class Layer:
    """Files that a host has all of, or none; `of` makes one.

    Args:
        kind: What it is for.
        digest: SHA-256, in hex, of the list of its files.
        entries: The files, in the order of their paths.
    """

    kind: Kind
    digest: str
    entries: tuple[Entry, ...]

    @classmethod
    def of(cls, kind: Kind, entries: Iterable[Entry]) -> "Layer":
        """Make a layer of files.

        Raises:
            FlowError: If a path is there twice, or as a file and as a folder.
        """
        ordered = tuple(sorted(entries, key=lambda entry: entry.item.path))
        paths = {entry.path for entry in ordered}
        for entry in ordered:
            for parent in PurePosixPath(entry.path).parents:
                if str(parent) in paths:
                    msg = f"{str(parent)!r} cannot be both a file and the folder of {entry.path!r}"
                    raise FlowError(msg)
        if len(paths) != len(ordered):
            twice = next(a.path for a, b in itertools.pairwise(ordered) if a.path == b.path)
            msg = f"two files would be pushed as {twice!r}"
            raise FlowError(msg)
        return cls(kind, digest_of_items(entry.item for entry in ordered), ordered)

    @cached_property
    def size(self) -> int:
        """Bytes of all files, uncompressed."""
        return sum(entry.size for entry in self.entries)

    def pack(self) -> Iterator[bytes]:
        """The layer as a tar file in the PAX format, compressed by gzip, in chunks of about 64 KiB.

        It depends on the content of the files alone, and is made while it is read.

        Raises:
            FlowError: If a file has changed since the digest was taken; it names the file.
        """
        gzip = _compressor()
        chunk = bytearray()
        for piece in self._tar():
            chunk += gzip.compress(piece)
            if len(chunk) >= _CHUNK:
                yield bytes(chunk)
                chunk.clear()
        yield bytes(chunk + gzip.flush())

    def _tar(self) -> Iterator[bytes]:
        for entry in self.entries:
            info = tarfile.TarInfo(entry.path)
            info.size = entry.size
            # A host keeps layers to itself.
            info.mode = 0o700 if entry.executable else 0o600
            yield info.tobuf(tarfile.PAX_FORMAT, *_ENCODING)
            yield from entry.read()
            yield bytes(-entry.size % tarfile.BLOCKSIZE)
        yield bytes(2 * tarfile.BLOCKSIZE)


def _check_path(path: str) -> None:
    parts = path.split("/")
    if not all(parts) or {".", ".."} & set(parts) or "\0" in path:
        msg = f"{path!r} cannot be a path in a layer: it would lead out of it, or names no file"
        raise FlowError(msg)
    try:
        path.encode(*_ENCODING)
    except UnicodeEncodeError:
        msg = f"{path!r} cannot be the name of a file"
        raise FlowError(msg) from None


def _unreadable(source: Path, error: OSError) -> FlowError:
    return FlowError(f"{source} cannot be pushed: {error.strerror or error}")


def _compressor() -> _Compressor:
    try:
        # As small, in a fifth of the time.
        from isal.isal_zlib import compressobj
    except ImportError:
        # It has no wheel for this kind of machine.
        return zlib.compressobj(_LEVEL, zlib.DEFLATED, _GZIP)
    return compressobj(_LEVEL, zlib.DEFLATED, _GZIP)
