"""Layers of requirements on the operator's machine, so that each is fetched and packed once."""

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ctl.errors import CannotWriteError
from ctl.layers import Entry, Layer, save

_FORMAT = 3
"""Is part of every key; raise it when what is kept changes."""

_OF_THE_INSTALLER = ("RECORD", "INSTALLER", "REQUESTED", "direct_url.json", "uv_cache.json")
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
        """A layer that was fetched."""
        folder = self._layer(key)
        packed = folder / "packed"
        try:
            kept = json.loads((folder / "layer.json").read_text(encoding="utf-8"))
            if _state(packed) != kept["packed"]:
                return None
            return Layer("requirements", kept["digest"], kept["size"], packed=packed)
        except (OSError, ValueError, LookupError, TypeError):
            return None

    @contextmanager
    def new(self) -> Iterator[Path]:
        """A folder to fetch into, gone at the end of the `with` unless it was kept."""
        with self._beside("layers") as folder:
            tree = folder / "tree"
            tree.mkdir()
            yield tree

    def keep(self, key: str, tree: Path) -> Layer:
        """Make a layer of what was fetched, pack it once for all hosts, and keep it."""
        layer = Layer.of("requirements", _entries(tree))
        packed = tree.parent / "packed"
        try:
            save(layer.pack(), packed)
            kept = {"digest": layer.digest, "size": layer.size, "packed": _state(packed)}
            (tree.parent / "layer.json").write_text(json.dumps(kept), encoding="utf-8")
            shutil.rmtree(tree)
            shutil.rmtree(self._layer(key), ignore_errors=True)
            tree.parent.rename(self._layer(key))
        except OSError as error:
            # Another ctl may have been as fast.
            there = self.layer(key)
            if there is None:
                raise _unwritable(error, self.folder) from None
            return there
        made = self.layer(key)
        assert made is not None, "it has just been made"
        return made

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


def _state(packed: Path) -> list[int]:
    """What tells whether a file is still as it was kept."""
    seen = packed.stat()
    return [seen.st_size, seen.st_mtime_ns]


def _default() -> Path:
    # A relative path in this variable does not count, says its specification.
    home = Path(os.environ.get("XDG_CACHE_HOME", ""))
    folder = home if home.is_absolute() else Path("~/.cache").expanduser()
    return folder / "hostmesh" / "requirements"


def _unwritable(error: OSError, folder: Path) -> CannotWriteError:
    msg = f"{folder} cannot be written: {error.strerror or error}"
    return CannotWriteError(msg, "free some space, or set XDG_CACHE_HOME")
