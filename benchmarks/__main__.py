"""Run the rows and print the tables: `python -m benchmarks [ROW ...]`."""

import argparse
import os
import platform
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks.measure import MeasureError, Sample
from benchmarks.peer import REQUIREMENT, PeerError, install_peer
from benchmarks.report import render_row, render_summary
from benchmarks.rows import Row, build_rows

FOLDER = Path(__file__).parents[1] / ".bench"


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print, and return the exit code."""
    chosen = _parse(arguments)
    peer = None if chosen.without_peer else chosen.peer or _peer()
    rows = build_rows(chosen.cache, peer, chosen.scale)
    names = [row.name for row in rows]
    unknown = sorted(set(chosen.row) - set(names))
    if unknown:
        print(f"no row {', '.join(unknown)}; there are {', '.join(names)}", file=sys.stderr)
        return 64
    print(_machine(peer), end="\n\n", flush=True)
    results = []
    for row in rows:
        if chosen.row and row.name not in chosen.row:
            continue
        try:
            samples = measure(row, chosen.rounds)
        except MeasureError as error:
            print(f"{row.name}: {error}", file=sys.stderr)
            return 1
        results.append((row, samples))
        print(render_row(row, samples), end="\n\n", flush=True)
    print(render_summary(results))
    return 0


def measure(row: Row, rounds: int) -> dict[str, list[Sample]]:
    """Let the contenders of a row take turns, after a round that does not count.

    Raises:
        MeasureError: If one fails, or comes to another result than the first one.
    """
    samples: dict[str, list[Sample]] = {contender.name: [] for contender in row.contenders}
    first: str | None = None
    for number in range(rounds + 1):
        for contender in row.contenders:
            sample, result = contender.measure()
            first = first or result
            if result != first:
                msg = f"the result of {contender.name} differs from {row.contenders[0].name}'s"
                raise MeasureError(msg)
            if number:
                samples[contender.name].append(sample)
    return samples


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("row", nargs="*", metavar="ROW", help="rows to run (default: all)")
    parser.add_argument("--rounds", type=int, default=5, help="runs that count (default: 5)")
    parser.add_argument(
        "--scale", type=float, default=1.0, help="part of the full amount of work (default: 1)"
    )
    parser.add_argument(
        "--cache", type=Path, default=FOLDER / "cache", help="folder for inputs and results"
    )
    parser.add_argument("--peer", type=Path, help=f"a Python that has {REQUIREMENT} already")
    parser.add_argument("--without-peer", action="store_true", help="leave the peer out")
    chosen = parser.parse_args(arguments)
    if chosen.rounds < 1:
        parser.error("--rounds has to be 1 or more")
    chosen.cache = chosen.cache.absolute()
    return chosen


def _peer() -> Path | None:
    try:
        return install_peer(FOLDER / "venv")
    except PeerError as error:
        print(f"measuring without the peer: {error}", file=sys.stderr)
        return None


def _machine(peer: Path | None) -> str:
    model = "unknown CPU"
    for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
        if line.startswith("model name"):
            model = line.partition(":")[2].strip()
            break
    cores = len(os.sched_getaffinity(0))
    beside = f"beside {REQUIREMENT} on {peer}" if peer else "without the peer"
    return f"{model}, {cores} cores, CPython {platform.python_version()}, {beside}"


if __name__ == "__main__":
    sys.exit(main())
