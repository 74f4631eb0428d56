"""Remove what no deployment of this host uses any more."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from ctl.remote.errors import cannot_write
from ctl.remote.root import Root, read_json


class _Used(NamedTuple):
    layers: set[str]
    releases: set[str]


def prune(root: Root, agent: str, *, dry_run: bool) -> dict[str, Any]:
    """Remove layers and releases that nobody uses; nobody may be pushing any meanwhile.

    Args:
        root: Of this host.
        agent: Digest of the layer that this session runs from.
        dry_run: Whether they are only counted.

    Returns:
        `layers`, a list of `digest`, `kind` and `bytes`, and `releases`, how many.

    Raises:
        RemoteError: 73 if something cannot be removed.
    """
    used = _used(root)
    kinds = _kinds(root)
    layers = [
        path
        for path in _children(root.path / "layers")
        if path.name not in used.layers and path.name != agent
    ]
    releases = [
        path for path in _children(root.path / "releases") if path.stem not in used.releases
    ]
    found = [
        {"digest": path.name, "kind": kinds.get(path.name, "unknown"), "bytes": _size(path)}
        for path in layers
    ]
    if not dry_run:
        try:
            # Releases first: one that is there says that its layers are.
            for path in releases:
                path.unlink(missing_ok=True)
            for path in layers:
                _remove(path)
        except OSError as error:
            raise cannot_write(error, "the folder of the layers") from error
    return {"layers": found, "releases": len(releases)}


def _used(root: Root) -> _Used:
    """What current launches, and those that are being switched to, are made of."""
    used = _Used(set(), set())
    for deployment in _children(root.path / "deployments"):
        for folder in _children(deployment / "launches"):
            launch = read_json(folder / "launch.json")
            if launch is None or not launch["processes"]:
                continue
            used.releases.add(launch["release"])
            used.layers.add(launch["agent"])
            used.layers.update(launch["manifest"].get("layers", {}).values())
    return used


def _kinds(root: Root) -> dict[str, str]:
    """What each layer is for, as far as a release says so."""
    kinds = {}
    for path in _children(root.path / "releases"):
        for kind, digest in ((read_json(path) or {}).get("layers") or {}).items():
            kinds[digest] = kind.partition(" ")[0]
    return kinds


def _remove(path: Path) -> None:
    # Renamed first, so that half a layer is never taken for one.
    if not path.name.startswith("."):
        path = path.rename(path.with_name(f".going-{path.name}"))
    shutil.rmtree(path)


def _size(folder: Path) -> int:
    return sum(path.lstat().st_size for path in folder.rglob("*") if not path.is_dir())


def _children(folder: Path) -> Iterator[Path]:
    try:
        paths = sorted(folder.iterdir())
    except OSError:
        return
    yield from paths
