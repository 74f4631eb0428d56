"""Medians, ratios and whether targets are reached, as text."""

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from benchmarks.measure import Sample
from benchmarks.rows import Row, Target

Samples = Mapping[str, Sequence[Sample]]


@dataclass(frozen=True)
class Verdict:
    """What became of a target.

    Args:
        target: What was to be reached.
        reached: The ratio or value that was measured; `None` without the other contender.
    """

    target: Target
    reached: float | None

    @property
    def word(self) -> str:
        """`pass`, `short`, or that there was nothing to compare with."""
        if self.reached is None:
            return "not measured"
        if self.target.against is None:
            return "pass" if self.reached <= self.target.bound else "short"
        return "pass" if self.reached >= self.target.bound else "short"


def verdicts(row: Row, samples: Samples) -> list[Verdict]:
    """Judge a row by the medians of its contenders.

    Args:
        row: The row.
        samples: What was measured, by name of the contender.
    """
    medians = {
        name: statistics.median(row.value(sample) for sample in taken)
        for name, taken in samples.items()
    }
    own = medians[row.contenders[0].name]
    return [
        Verdict(
            target,
            own
            if target.against is None
            else medians[target.against] / own
            if target.against in medians
            else None,
        )
        for target in row.targets
    ]


def render_row(row: Row, samples: Samples) -> str:
    """A table with a line for each contender of one row."""
    unit, scale = ("core %", 100) if row.share else ("wall s", 1)
    lines = [
        f"{row.name}: {row.title}",
        f"  {'':15}{unit:>9}{'least':>9}{'most':>9}{'CPU s':>8}{'peak MiB':>10}",
    ]
    for name, taken in samples.items():
        values = [row.value(sample) * scale for sample in taken]
        cpu = statistics.median(sample.cpu for sample in taken)
        peak = statistics.median(sample.peak for sample in taken) / 2**20
        lines.append(
            f"  {name:15}{statistics.median(values):9.3f}{min(values):9.3f}{max(values):9.3f}"
            f"{cpu:8.2f}{peak:10.0f}"
        )
    return "\n".join(lines)


def render_summary(results: Sequence[tuple[Row, Samples]]) -> str:
    """A Markdown table with a line for each target."""
    lines = ["| row | compared with | target | reached | |", "|---|---|---|---|---|"]
    for row, samples in results:
        for verdict in verdicts(row, samples):
            target, reached = verdict.target, verdict.reached
            bound = _quantity(row, target, target.bound)
            sign, against = ("≤", "-") if target.against is None else ("≥", target.against)
            value = "-" if reached is None else _quantity(row, target, reached)
            lines.append(f"| {row.name} | {against} | {sign} {bound} | {value} | {verdict.word} |")
    return "\n".join(lines)


def _quantity(row: Row, target: Target, value: float) -> str:
    if target.against is not None:
        return f"{value:.2f}x"
    return f"{value * 100:.2f} %" if row.share else f"{value:.3f} s"
