"""Tables of plain text."""

# ruff: noqa: RUF001 - a dash stands in a table for what is not known

import pytest

from ctl.status import DeploymentStatus, HostStatus, ProcessStatus
from ctl.ui.table import status_table, table


def test_columns_are_aligned_and_nothing_trails():
    assert table(["A", "LONG"], [["x", "y"], ["longer", None]]) == (
        "A       LONG\nx       y\nlonger  –"
    )


def test_a_table_without_rows_is_its_headings():
    assert table(["A", "B"], []) == "A  B"


def test_the_sample_of_the_design():
    release = "7c1e2a" + "0" * 58
    hosts = [
        HostStatus("alpha", True, None, release),
        HostStatus("beta", False, "no SSH answer in 5 s"),
    ]
    processes = [
        ProcessStatus(0, "alpha", "192.168.1.10:9000", "running", 1, 7440.0, 0),
        ProcessStatus(2, "beta", "192.168.1.11:9000", "unknown"),
    ]
    assert status_table(DeploymentStatus.of("flights", hosts, processes)) == (
        "flights  degraded  release 7c1e2a\n"
        "ID  HOST   ADDRESS            STATE    UP     RESTARTS\n"
        "0   alpha  192.168.1.10:9000  running  2h 4m  0\n"
        "2   beta   192.168.1.11:9000  unknown  –      –\n"
        "beta: no SSH answer in 5 s; its process may be running"
    )


def test_how_far_an_engine_is_behind_if_it_says_so():
    processes = [
        ProcessStatus(0, "alpha", "a:1", "running", 1, 5.0, 0, lag_s=0.25),
        ProcessStatus(1, "alpha", "a:2", "running", 1, 5.0, 0),
    ]
    text = status_table(DeploymentStatus.of("flights", [HostStatus("alpha", True)], processes))
    assert [line.split()[-2:] for line in text.splitlines()[2:]] == [["0.2", "s"], ["0", "–"]]
    assert text.splitlines()[1].endswith("RESTARTS  LAG")


@pytest.mark.parametrize(
    ("host", "places", "said"),
    [
        (
            HostStatus("beta", False, "timed out"),
            2,
            "beta: timed out; its 2 processes may be running",
        ),
        (HostStatus("beta", False), 0, "beta: no answer"),
        (
            HostStatus("beta", True, "a deploy was cut off here"),
            1,
            "beta: a deploy was cut off here",
        ),
    ],
)
def test_hosts_that_are_worth_a_word(host, places, said):
    processes = [ProcessStatus(each, "beta", "b:1", "unknown") for each in range(places)]
    text = status_table(DeploymentStatus.of("flights", [host], processes))
    assert text.splitlines()[-1] == said


def test_nothing_deployed():
    status = DeploymentStatus.of("flights", [HostStatus("alpha", True)], [])
    assert status_table(status) == "flights  stopped"
