"""Layers of requirements on the operator's machine, so that each is fetched and hashed once."""

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ctl.errors import CannotWriteError
from ctl.layers import Entry, Layer

_FORMAT = 1
"""Is part of every key; raise it when what is kept changes."""

_OF_THE_INSTALLER = ("RECORD", "INSTALLER", "REQUESTED", "direct_url.json")
"""These differ from one installation of the same wheel to the next."""


def key_of(*parts: str) -> str:
    """A name for what was made of some texts."""
    return hashlib.sha256(json.dumps([_FORMAT, *parts]).encode()).hexdigest()


class Cache:
    """What was resolved, and what was fetched.

    Args:
        folder: Where it is; by default as the XDG specification has it.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self.folder = folder or _default()

    def resolution(self, key: str) -> str | None:
        """What some requirements were resolved to."""
        try:
            return self._resolution(key).read_text(encoding="utf-8")
        except OSError:
            return None

    def remember(self, key: str, resolved: str) -> None:
        """Keep what some requirements were resolved to."""
        with self._beside("resolved") as folder:
            (folder / "text").write_text(resolved, encoding="utf-8")
            (folder / "text").replace(self._resolution(key))

    def layer(self, key: str) -> Layer | None:
        """A layer that was fetched; its files are looked at, but not read."""
        folder = self._layer(key)
        try:
            kept = json.loads((folder / "listing.json").read_text(encoding="utf-8"))
            entries = []
            for path, executable, size, sha256, changed in kept["files"]:
                source = folder / "tree" / path
                seen = source.stat()
                if (seen.st_size, seen.st_mtime_ns) != (size, changed):
                    return None
                entries.append(Entry(path, source, executable, size, sha256))
        except (OSError, ValueError, LookupError, TypeError):
            return None
        return Layer("requirements", kept["digest"], tuple(entries))

    @contextmanager
    def new(self) -> Iterator[Path]:
        """A folder to fetch into, gone at the end of the `with` unless it was kept."""
        with self._beside("layers") as folder:
            tree = folder / "tree"
            tree.mkdir()
            yield tree

    def keep(self, key: str, tree: Path) -> Layer:
        """Make a layer of what was fetched, and keep it."""
        layer = Layer.of("requirements", _entries(tree))
        files = [
            (each.path, each.executable, each.size, each.sha256, _changed(each))
            for each in layer.entries
        ]
        listing = {"digest": layer.digest, "files": files}
        try:
            (tree.parent / "listing.json").write_text(json.dumps(listing), encoding="utf-8")
            shutil.rmtree(self._layer(key), ignore_errors=True)
            tree.parent.rename(self._layer(key))
        except OSError as error:
            # Another ctl may have been as fast.
            kept = self.layer(key)
            if kept is None:
                raise _unwritable(error, self.folder) from None
            return kept
        kept = self.layer(key)
        assert kept is not None, "it has just been made"
        return kept

    def _resolution(self, key: str) -> Path:
        return self.folder / "resolved" / f"{key}.txt"

    def _layer(self, key: str) -> Path:
        return self.folder / "layers" / key

    @contextmanager
    def _beside(self, name: str) -> Iterator[Path]:
        parent = self.folder / name
        try:
            parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            folder = Path(tempfile.mkdtemp(prefix=".new-", dir=parent))
        except OSError as error:
            raise _unwritable(error, self.folder) from None
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def _entries(tree: Path) -> Iterator[Entry]:
    for path in sorted(tree.rglob("*")):
        parts = path.relative_to(tree).parts
        is_command = parts[0] == "bin" or parts == (".lock",)
        is_metadata = parts[0].endswith(".dist-info") and parts[-1] in _OF_THE_INSTALLER
        if path.is_file() and not is_command and not is_metadata and "__pycache__" not in parts:
            yield Entry.of("/".join(parts), path)


def _changed(entry: Entry) -> int:
    assert isinstance(entry.source, Path)
    return entry.source.stat().st_mtime_ns


def _default() -> Path:
    # A relative path in this variable does not count, says its specification.
    home = Path(os.environ.get("XDG_CACHE_HOME", ""))
    folder = home if home.is_absolute() else Path("~/.cache").expanduser()
    return folder / "hostmesh" / "requirements"


def _unwritable(error: OSError, folder: Path) -> CannotWriteError:
    msg = f"{folder} cannot be written: {error.strerror or error}"
    return CannotWriteError(msg, "free some space, or set XDG_CACHE_HOME")
