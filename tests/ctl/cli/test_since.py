"""Points in time on the command line."""

from datetime import UTC, datetime

import pytest

from ctl.cli.since import parse_since
from ctl.errors import UsageError

NOW = datetime(2026, 11, 24, 18, 39, 58, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("30s", "2026-11-24T18:39:28+00:00"),
        ("10m", "2026-11-24T18:29:58+00:00"),
        ("2h", "2026-11-24T16:39:58+00:00"),
        ("1d", "2026-11-23T18:39:58+00:00"),
        ("2026-11-24T18:00:00Z", "2026-11-24T18:00:00+00:00"),
        ("2026-11-24T18:00:00+02:00", "2026-11-24T16:00:00+00:00"),
    ],
)
def test_points_in_time(text, expected):
    assert parse_since(text, NOW).isoformat() == expected


def test_a_time_without_zone_is_local():
    local = datetime(2026, 11, 24, 18).astimezone(UTC)
    assert parse_since("2026-11-24T18:00", NOW) == local


@pytest.mark.parametrize("text", ["", "10", "m", "10 m", "-5m", "1w", "yesterday", "999999999d"])
def test_what_is_none(text):
    with pytest.raises(UsageError, match="is no point in time"):
        parse_since(text, NOW)
