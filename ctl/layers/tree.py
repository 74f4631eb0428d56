"""What a code layer will hold, while it is being gathered."""

from collections import Counter
from pathlib import Path

from ctl.errors import FlowError
from ctl.layers.archive import Entry, Layer

FILES_LIMIT = 10_000
SIZE_LIMIT = 1 << 30


class Tree:
    """Files by the path that they will have in the layer."""

    def __init__(self) -> None:
        self._files: dict[str, tuple[Path | bytes, str]] = {}

    def add(self, path: str, source: Path | bytes, origin: str) -> None:
        """Add a file; the same one may come several times.

        Args:
            path: Where it is in the layer.
            source: The file it is read from, or the content itself.
            origin: What brought it, for people, such as ``include 'data/*'``.

        Raises:
            FlowError: If another file has the path, or it is too large, or one too many.
        """
        known = self._files.get(path)
        if known is not None:
            if not _is_same(known[0], source):
                msg = (
                    f"two different files would be pushed as {path!r}: {_named(*known)} and "
                    f"{_named(source, origin)}"
                )
                raise FlowError(msg, "rename one of them")
            return
        if isinstance(source, Path):
            _check_size(source, origin)
        self._files[path] = (source, origin)
        if len(self._files) > FILES_LIMIT:
            origins = Counter(origin for _, origin in self._files.values())
            [(largest, count)] = origins.most_common(1)
            msg = f"the flow would bring more than {FILES_LIMIT:,} files, {count:,} of {largest}"
            raise FlowError(msg, f"narrow {largest}")

    def layer(self) -> Layer:
        """Read all files and make the layer of them.

        Raises:
            FlowError: If a file cannot be read, or has a path that is another's folder.
        """
        return Layer.of(
            "code", (Entry.of(path, source) for path, (source, _) in self._files.items())
        )


def _is_same(one: Path | bytes, other: Path | bytes) -> bool:
    if one == other:
        return True
    if isinstance(one, Path) and isinstance(other, Path) and one.samefile(other):
        return True
    first, second = Entry.of("one", one), Entry.of("one", other)
    return first.item == second.item


def _check_size(source: Path, origin: str) -> None:
    try:
        size = source.stat().st_size
    except OSError as error:
        msg = f"{source} cannot be pushed: {error.strerror or error}"
        raise FlowError(msg) from None
    if size > SIZE_LIMIT:
        msg = f"{source} has {size / 2**30:.1f} GiB, and at most 1 GiB is pushed of a file"
        raise FlowError(msg, f"narrow {origin}, which brings it")


def _named(source: Path | bytes, origin: str) -> str:
    return f"{source} ({origin})" if isinstance(source, Path) else origin
