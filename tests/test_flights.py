"""The main example on its real data, against the same sums done without the engine."""

import csv
import importlib.util
from collections import defaultdict
from pathlib import Path

import pytest

from tests.conftest import Command

FLIGHTS = 336_776
CANCELLED = 8_255


@pytest.fixture(scope="session")
def expected(flights_csv: Path) -> dict[tuple[str, str], list[str]]:
    """Cells by carrier and month."""
    delays: dict[tuple[str, str], list[int]] = defaultdict(list)
    with flights_csv.open(newline="") as lines:
        reader = csv.reader(lines)
        columns = next(reader)
        carrier, month, delay = map(columns.index, ("carrier", "month", "dep_delay"))
        cancelled = 0
        for row in reader:
            if row[delay] == "NA":
                cancelled += 1
            else:
                delays[row[carrier], f"{int(row[month]):02}"].append(int(row[delay]))
    assert cancelled == CANCELLED
    assert sum(map(len, delays.values())) == FLIGHTS - CANCELLED
    return {
        key: [str(len(minutes)), f"{sum(minutes) / len(minutes):.2f}", str(max(minutes))]
        for key, minutes in delays.items()
    }


@pytest.mark.parametrize("scale", [["-p1"], ["-p2"], ["-p3"], ["-w2"]], ids=" ".join)
def test_every_cell_is_right_and_in_order_at_any_scale(
    scale: list[str],
    command: Command,
    repository: Path,
    flights_csv: Path,
    expected: dict[tuple[str, str], list[str]],
    tmp_path: Path,
) -> None:
    out = tmp_path / "delays.csv"
    flow = repository / "examples" / "flights.py"
    run = command("ctl", "run", flow, *scale, FLIGHTS_CSV=flights_csv, DELAYS_CSV=out)
    assert run.returncode == 0, run.stderr
    header, *rows = csv.reader(out.read_text().splitlines())
    assert header == ["carrier", "month", "flights", "mean_delay", "worst_delay"]
    assert {(carrier, month): cells for carrier, month, *cells in rows} == expected
    assert rows == sorted(rows)


def test_the_table_shows_every_airline(repository: Path, tmp_path: Path, command: Command) -> None:
    delays = tmp_path / "delays.csv"
    delays.write_text(
        "carrier,month,flights,mean_delay,worst_delay\n"
        "9E,01,1573,16.88,360\n"
        "9E,12,1500,9.51,747\n"
        "AA,02,2517,8.28,337\n"
    )
    run = command("python", repository / "examples" / "flights_table.py", delays)
    assert run.returncode == 0, run.stderr
    cells = [line.split() for line in run.stdout.splitlines() if line.strip()[:2] in ("9E", "AA")]
    assert cells == [
        ["9E", "17", *["-"] * 10, "10", "747"],
        ["AA", "-", "8", *["-"] * 10, "337"],
    ]


def test_the_data_is_unpacked_whole_or_not_at_all(repository: Path, tmp_path: Path) -> None:
    spec = importlib.util.spec_from_file_location(
        "flights_data", repository / "examples" / "flights_data.py"
    )
    assert spec
    assert spec.loader
    flights_data = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(flights_data)
    broken = tmp_path / "broken.tar.gz"
    broken.write_bytes(b"not an archive")
    with pytest.raises(Exception, match="file could not be opened"):
        flights_data.unpack(broken, tmp_path / "flights.csv")
    assert not (tmp_path / "flights.csv").exists()
