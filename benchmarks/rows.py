"""The rows of the table: what each one compares, and what is to be reached."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.contenders import BYTEWAX, LOOP, Contender, Contenders
from benchmarks.inputs import write_text
from benchmarks.measure import Sample

WORDS = 2_000_000
READINGS = 1_000_000
NUMBERS = 400_000
IDLE_SECONDS = 5.0


@dataclass(frozen=True)
class Target:
    """What the first contender of a row has to reach.

    Args:
        bound: At least this many times the speed of `against`; without one, at most this value.
        against: Name of another contender of the row.
    """

    bound: float
    against: str | None = None


@dataclass(frozen=True)
class Row:
    """What is compared.

    Args:
        name: What the command line calls it.
        title: What is measured.
        contenders: In the order in which they take turns; the first one is judged.
        targets: What the first one has to reach.
        share: Whether the part of a core that is used counts, and not the time that it takes.
    """

    name: str
    title: str
    contenders: Sequence[Contender]
    targets: Sequence[Target]
    share: bool = False

    def value(self, sample: Sample) -> float:
        """The number of a sample that counts."""
        return sample.share if self.share else sample.wall


def build_rows(cache: Path, peer: Path | None, scale: float = 1.0) -> list[Row]:
    """Write the inputs and programs, and return all rows.

    Args:
        cache: Where to write.
        peer: The Python that has the peer, or `None` to do without.
        scale: Part of the full amount of work.
    """
    words, readings, numbers = (int(full * scale) for full in (WORDS, READINGS, NUMBERS))
    text, halves = write_text(cache, words)
    make = Contenders(cache, peer)
    return [
        Row(
            "word-count",
            f"word count, {words:,} words, one process",
            [
                make.ours("word_count", text),
                *make.peers("word_count", text),
                make.loop("word_count", text),
            ],
            [Target(4.0, BYTEWAX), Target(0.7, LOOP)],
        ),
        Row(
            "stateful-map",
            f"stateful_map + map + filter, {readings:,} items, 10,000 keys, one process",
            [
                make.ours("stateful_map", items=readings),
                *make.peers("stateful_map", items=readings),
                make.loop("stateful_map", items=readings),
            ],
            [Target(3.0, BYTEWAX), Target(0.7, LOOP)],
        ),
        Row(
            "word-count-2",
            f"word count, {words:,} words in two files, two processes",
            [
                make.ours("word_count", halves, flags=("-p", "2")),
                *make.peers_two("word_count", halves),
            ],
            [Target(5.0, BYTEWAX)],
        ),
        Row(
            "cpu-map",
            f"CPU-bound map, {numbers:,} items, two processes against one",
            [
                make.ours("cpu_map", items=numbers, flags=("-p", "2"), name="-p 2"),
                make.ours("cpu_map", items=numbers, name="-p 1"),
            ],
            [Target(1.8, "-p 1")],
        ),
        Row(
            "threads",
            f"word count, {words:,} words in two files, two workers against one",
            [
                make.ours("word_count", halves, flags=("-w", "2"), name="-w 2"),
                make.ours("word_count", halves, name="-w 1"),
            ],
            [Target(0.85, "-w 1")],
        ),
        Row("empty", "empty flow, start to finish", make.empty(), [Target(0.12)]),
        Row(
            "idle-asleep",
            "idle process whose source names a time far ahead, part of a core",
            make.idle("asleep", IDLE_SECONDS * min(1.0, scale)),
            [Target(0.01)],
            share=True,
        ),
        Row(
            "idle-asking",
            "idle process whose source has nothing and names no time, part of a core",
            make.idle("asking", IDLE_SECONDS * min(1.0, scale)),
            [Target(0.01)],
            share=True,
        ),
    ]
