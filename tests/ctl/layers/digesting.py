"""The digest of what a host has unpacked."""

import os
from pathlib import Path

from ctl.remote.digest import Item, digest_of_items, read_item


def digest_of(folder: Path) -> str:
    """The digest of a layer with the files of a folder."""
    paths = (path for path in folder.rglob("*") if not path.is_dir())
    return digest_of_items(_item(path, os.fsencode(path.relative_to(folder))) for path in paths)


def _item(path: Path, name: bytes) -> Item:
    with path.open("rb") as file:
        return read_item(name, file)
