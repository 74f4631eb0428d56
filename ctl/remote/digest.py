"""The digest of a layer: that of the list of its files, so that a host can check what it unpacked.

Names are bytes here, so that nothing depends on the locale of the host.
"""

import hashlib
import io
import os
import stat
from collections.abc import Iterable
from typing import NamedTuple


class Item(NamedTuple):
    """A file as the digest sees it.

    Args:
        path: Relative path, its parts joined by `/`.
        executable: Whether its owner may run it.
        size: In bytes.
        sha256: Of its content, in hex.
    """

    path: bytes
    executable: bool
    size: int
    sha256: str


def digest_of_items(items: Iterable[Item]) -> str:
    """The digest of a list of files, in whichever order they come."""
    digest = hashlib.sha256()
    for item in sorted(items):
        mark = "x" if item.executable else "-"
        # A path holds no NUL, so two different lists never give the same bytes.
        digest.update(b"%b %b\0" % (f"{item.sha256} {mark} {item.size}".encode(), item.path))
    return digest.hexdigest()


def read_item(path: bytes, file: io.BufferedReader) -> Item:
    """Read an open file to its end.

    Args:
        path: What it is called in the layer.
        file: The file.
    """
    mode = os.fstat(file.fileno()).st_mode
    sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    # Of what was read, which is what the hash is of, even if the file is growing.
    return Item(path, bool(mode & stat.S_IXUSR), file.tell(), sha256)
