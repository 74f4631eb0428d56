"""Remove folders."""

from pathlib import Path


def remove_tree(folder: Path) -> None:
    """Remove a folder with all that is in it, as far as that can be done."""
    # It brings all compressors, and most sessions remove nothing.
    from shutil import rmtree

    rmtree(folder, ignore_errors=True)
