"""Numbers with units."""

import pytest

from ctl.ui.quantities import count, duration, size


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.9, "0s"),
        (59, "59s"),
        (60, "1m 0s"),
        (3599, "59m 59s"),
        (3600, "1h 0m"),
        (7455, "2h 4m"),
        (90_000, "1d 1h"),
        (8_640_000, "100d 0h"),
    ],
)
def test_durations(seconds, text):
    assert duration(seconds) == text


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1.0 kB"),
        (9_940, "9.9 kB"),
        (9_960, "10 kB"),
        (41_234, "41 kB"),
        (999_600, "1.0 MB"),
        (41_200_000_000, "41 GB"),
        (5 * 10**15, "5000 TB"),
    ],
)
def test_sizes(number, text):
    assert size(number) == text


def test_counts():
    assert [count(number, "process") for number in (0, 1, 2)] == [
        "0 processes",
        "1 process",
        "2 processes",
    ]
    assert count(3, "host") == "3 hosts"
