"""The benchmarks run at tiny sizes, judge rightly, and notice different results."""

import pytest

from benchmarks.__main__ import main, measure
from benchmarks.contenders import Contender, digest, translate
from benchmarks.inputs import write_text
from benchmarks.measure import Launch, MeasureError, Sample, run
from benchmarks.report import render_row, render_summary, verdicts
from benchmarks.rows import Row, Target, build_rows

ROWS = (
    "word-count",
    "stateful-map",
    "word-count-2",
    "cpu-map",
    "threads",
    "empty",
    "idle-asleep",
    "idle-asking",
)


def sample(wall: float, cpu: float = 0.0) -> Sample:
    return Sample(wall, cpu, peak=2**20)


def contender(name: str, *, result: str | None = None) -> Contender:
    return Contender(name, lambda: (sample(1.0), result))


@pytest.mark.parametrize("row", ROWS)
def test_a_row_runs_at_a_tiny_size(row, tmp_path, capsys):
    arguments = ["--without-peer", "--rounds", "1", "--scale", "0.002", "--cache", str(tmp_path)]
    code = main([row, *arguments])
    printed = capsys.readouterr()
    assert code == 0, printed.err
    assert f"{row}: " in printed.out
    assert f"\n| {row} |" in printed.out


def test_these_are_all_rows(tmp_path):
    assert tuple(row.name for row in build_rows(tmp_path, None, 0.001)) == ROWS


def test_an_unknown_row_is_refused(tmp_path, capsys):
    code = main(["speed", "--without-peer", "--scale", "0.001", "--cache", str(tmp_path)])
    assert code == 64
    assert "no row speed" in capsys.readouterr().err


def test_the_text_is_the_same_every_time_and_in_both_shapes(tmp_path):
    whole, halves = write_text(tmp_path / "a", 300)
    again, _ = write_text(tmp_path / "b", 300)
    assert whole.read_text() == again.read_text()
    assert len(whole.read_text().split()) == 300
    split = [line for half in halves.iterdir() for line in half.read_text().splitlines()]
    assert sorted(split) == sorted(whole.read_text().splitlines())


def test_only_imports_of_the_engine_are_translated():
    text = "import engine.operators as op\nfrom engine.inputs import X\nname = 'engine'\n"
    assert translate(text, "bytewax") == (
        "import bytewax.operators as op\nfrom bytewax.inputs import X\nname = 'engine'\n"
    )


def test_the_order_of_lines_does_not_change_a_result(tmp_path):
    for name, text in {"a": "x\ny\n", "b": "y\nx\n", "c": "x\nx\n"}.items():
        (tmp_path / name).write_text(text)
    assert digest(tmp_path / "a") == digest(tmp_path / "b") != digest(tmp_path / "c")
    with pytest.raises(MeasureError, match="nothing was written"):
        digest(tmp_path / "d")


def test_a_different_result_is_named():
    row = Row("r", "", [contender("engine", result="1"), contender("loop", result="2")], [])
    with pytest.raises(MeasureError, match="loop differs from engine"):
        measure(row, 1)


def test_the_first_round_does_not_count():
    assert len(measure(Row("r", "", [contender("engine")], []), 3)["engine"]) == 3


def test_a_failing_process_is_shown_with_what_it_printed(tmp_path):
    launch = Launch([("sh", "-c", "echo no luck; exit 3")], {}, tmp_path)
    with pytest.raises(MeasureError, match=r"(?s)exit code 3.*no luck"):
        run(launch)


def test_processes_are_measured_together(tmp_path):
    measured = run(Launch([("true",), ("true",)], {"PATH": "/usr/bin:/bin"}, tmp_path))
    assert measured.wall > 0
    assert measured.peak > 0


def test_ratios_and_values_are_judged_by_medians():
    row = Row("r", "speed", [contender("engine")], [Target(4.0, "peer"), Target(0.7, "loop")])
    samples = {
        "engine": [sample(1.0), sample(9.0), sample(1.0)],
        "peer": [sample(4.0)],
        "loop": [sample(0.5)],
    }
    assert [verdict.word for verdict in verdicts(row, samples)] == ["pass", "short"]
    del samples["peer"]
    assert [verdict.word for verdict in verdicts(row, samples)] == ["not measured", "short"]


def test_reports_show_seconds_or_the_part_of_a_core():
    timed = Row("timed", "seconds", [contender("engine")], [Target(0.12)])
    idle = Row("idle", "shares", [contender("engine")], [Target(0.01)], share=True)
    results = [
        (timed, {"engine": [sample(0.1)]}),
        (idle, {"engine": [sample(5.0, cpu=0.1)]}),
    ]
    assert render_summary(results).splitlines()[2:] == [
        "| timed | - | ≤ 0.120 s | 0.100 s | pass |",
        "| idle | - | ≤ 1.00 % | 2.00 % | short |",
    ]
    assert render_row(*results[1]).splitlines() == [
        "idle: shares",
        "                    core %    least     most   CPU s  peak MiB",
        "  engine             2.000    2.000    2.000    0.10         1",
    ]
