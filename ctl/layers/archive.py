"""A layer: files that are named by the digest of their content and sent as one stream."""

import hashlib
import itertools
import stat
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Literal

from ctl.errors import FlowError
from ctl.layers.packing import Block, pack, saved
from ctl.remote.digest import Item, digest_of_items, read_item

Kind = Literal["engine", "code", "agent", "requirements"]

_CHUNK = 1 << 18
_ENCODING = ("utf-8", "surrogateescape")
"""How names become bytes, whatever the locale of the operator is."""


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
        size: Bytes of all files.
        entries: The files, in the order of their paths, unless they are packed already.
        packed: Where `save` has kept their blocks.
    """

    kind: Kind
    digest: str
    size: int
    entries: tuple[Entry, ...] = ()
    packed: Path | None = None

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
        digest = digest_of_items(entry.item for entry in ordered)
        return cls(kind, digest, sum(entry.size for entry in ordered), ordered)

    def pack(self) -> Iterator[Block]:
        """The layer as a host unpacks it; it depends on the content of the files alone.

        Raises:
            FlowError: If a file has changed since the digest was taken; it names the file.
        """
        if self.packed is not None:
            return saved(self.packed)
        listing = [(entry.path, entry.executable, entry.size) for entry in self.entries]
        return pack(listing, itertools.chain.from_iterable(each.read() for each in self.entries))


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
