"""Makes the recovery partitions of a Bytewax dataflow that belong on one host.

    bytewax_partitions <folder> <number of all> <numbers of those that belong here, with commas>
        <file that remembers the folder>

Partitions that are there stay as they are. Those that are there no more are not made again: with
an empty one among the others, a dataflow would resume without a part of its state.
"""

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NoReturn

_CANNOT_WRITE, _CONFIGURATION = 73, 78
_SUFFIX = ".sqlite3"


def main(arguments: list[str]) -> None:
    """Run as a program."""
    folder, count, made = Path(arguments[0]), int(arguments[1]), Path(arguments[3])
    wanted = {f"part-{number}{_SUFFIX}" for number in arguments[2].split(",")}
    try:
        known = made.read_text(encoding="utf-8").splitlines() if made.is_file() else []
        folder.mkdir(parents=True, exist_ok=True)
        there = {path.name for path in folder.glob(f"part-*{_SUFFIX}")}
        if there and there != wanted:
            found, needed = (", ".join(sorted(each)) for each in (there, wanted))
            text = f"the recovery store {folder} has {found}, but {needed} belong here, as the "
            more = "hosts were others then; move them between hosts, or set another `store`"
            _end(_CONFIGURATION, text + more)
        if not there:
            if str(folder) in known:
                text = f"the recovery store {folder} has lost its {', '.join(sorted(wanted))}; "
                more = "bring back what was there, or begin anew in another `store`"
                _end(_CONFIGURATION, text + more)
            _make(folder, count, wanted)
        if str(folder) not in known:
            made.write_text("".join(f"{each}\n" for each in (*known, folder)), encoding="utf-8")
    except OSError as error:
        _end(_CANNOT_WRITE, f"the recovery store {folder} cannot be written: {error.strerror}")


def _make(folder: Path, count: int, wanted: set[str]) -> None:
    beside = Path(tempfile.mkdtemp(prefix=".new-", dir=folder))
    try:
        words = (sys.executable, "-P", "-m", "bytewax.recovery", str(beside), str(count))
        ended = subprocess.run(words, capture_output=True, text=True, check=False)  # noqa: S603
        if ended.returncode:
            _end(_CANNOT_WRITE, f"no recovery partitions could be made: {ended.stderr.strip()}")
        for name in sorted(wanted):
            (beside / name).rename(folder / name)
    finally:
        shutil.rmtree(beside, ignore_errors=True)


def _end(code: int, text: str) -> NoReturn:
    sys.stderr.write(f"error: {text}\n")
    sys.exit(code)


if __name__ == "__main__":
    main(sys.argv[1:])
