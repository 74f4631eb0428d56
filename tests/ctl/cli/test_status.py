"""`ctl status`: whole outputs and exit codes."""

# ruff: noqa: RUF001 - a dash stands in a table for what is not known

import json

import pytest

from ctl.errors import InventoryError
from ctl.status import DeploymentStatus, HostStatus, ProcessStatus
from tests.ctl.cli.fakes import RELEASE, running

TABLE = """\
flights  running  release 7c1e2a
ID  HOST   ADDRESS            STATE    UP     RESTARTS
0   alpha  192.168.1.10:9000  running  2h 4m  0
1   beta   192.168.1.11:9000  running  42s    1
"""


def silent() -> DeploymentStatus:
    hosts = [
        HostStatus("alpha", True, None, RELEASE),
        HostStatus("beta", False, "no SSH answer in 5 s"),
    ]
    processes = [
        ProcessStatus(2, "beta", "192.168.1.11:9000", "unknown"),
        ProcessStatus(0, "alpha", "192.168.1.10:9000", "running", 4711, 7455.0, 0),
    ]
    return DeploymentStatus.of("flights", hosts, processes)


def test_all_is_well(run_ctl, fake):
    assert run_ctl("status", "fleet.toml") == f"{TABLE}--- stderr\n--- exit 0\n"
    assert fake.closed


def test_a_silent_host(run_ctl, fake):
    fake.statuses = [silent()]
    assert run_ctl("status", "fleet.toml") == (
        "flights  degraded  release 7c1e2a\n"
        "ID  HOST   ADDRESS            STATE    UP     RESTARTS\n"
        "0   alpha  192.168.1.10:9000  running  2h 4m  0\n"
        "2   beta   192.168.1.11:9000  unknown  –      –\n"
        "beta: no SSH answer in 5 s; its process may be running\n"
        "--- stderr\n"
        "--- exit 69\n"
    )


def test_a_deploy_that_was_cut_off(run_ctl, fake):
    fake.statuses = [running(cut_off=True)]
    text = run_ctl("status", "fleet.toml")
    assert text.startswith("flights  degraded (deploy cut off)  release 7c1e2a\nID")
    assert text.endswith("--- exit 74\n")


def test_processes_that_failed_say_why(run_ctl, fake):
    processes = [
        ProcessStatus(
            0, "alpha", "a:9000", "failed", exit_code=70, last_error="LookupError: \x1b[2J"
        ),
        ProcessStatus(1, "alpha", "a:9001", "failed", exit_code=-9),
        ProcessStatus(2, "alpha", "a:9002", "failed"),
        ProcessStatus(
            3, "alpha", "a:9003", "failed", exit_code=70, last_error="Traceback:\n  a\nb"
        ),
        ProcessStatus(
            4, "alpha", "a:9004", "failed", exit_code=70, last_error="Traceback:\n  a\nb"
        ),
    ]
    host = HostStatus("alpha", True, None, RELEASE)
    fake.statuses = [DeploymentStatus.of("flights", [host], processes)]
    assert run_ctl("status", "fleet.toml") == (
        "flights  failed  release 7c1e2a\n"
        "ID  HOST   ADDRESS  STATE   UP  RESTARTS\n"
        "0   alpha  a:9000   failed  –   –\n"
        "1   alpha  a:9001   failed  –   –\n"
        "2   alpha  a:9002   failed  –   –\n"
        "3   alpha  a:9003   failed  –   –\n"
        "4   alpha  a:9004   failed  –   –\n"
        "process 0 (alpha) failed: exit 70: LookupError: \\x1b[2J\n"
        "process 1 (alpha) failed: signal 9\n"
        "process 2 (alpha) failed\n"
        "process 3 (alpha) failed: exit 70\n    Traceback:\n      a\n    b\n"
        "process 4 (alpha) failed: exit 70: as process 3\n"
        "--- stderr\n"
        "--- exit 70\n"
    )


def test_json(run_ctl, fake):
    fake.statuses = [silent()]
    out, _, rest = run_ctl("status", "fleet.toml", "--json").partition("--- stderr\n")
    assert json.loads(out) == silent().to_json()
    assert rest == "--- exit 69\n"


def test_json_of_an_error(run_ctl, fake):
    fake.loading = InventoryError("no hosts")
    text = run_ctl("status", "fleet.toml", "--json")
    assert json.loads(text.partition("--- stderr\n")[0])["error"]["exit_code"] == 78
    assert text.endswith("--- stderr\nerror: no hosts\n--- exit 78\n")


@pytest.fixture
def naps(monkeypatch) -> list[float]:
    """How long a watch has slept; it takes no time."""
    slept: list[float] = []
    monkeypatch.setattr("ctl.cli.status.time.sleep", slept.append)
    return slept


def test_a_watch_repeats_until_ctrl_c(run_ctl, fake, naps):
    fake.statuses = [running(), silent(), KeyboardInterrupt()]
    text = run_ctl("status", "fleet.toml", "--watch")
    assert text.startswith(f"{TABLE}\nflights  degraded")
    assert text.endswith(
        "may be running\n\n"
        "--- stderr\n"
        "error: interrupted; flights goes on as it was\n"
        "--- exit 130\n"
    )
    assert naps == [2.0, 2.0]


def test_a_watch_for_machines_is_a_line_each_time(run_ctl, fake, naps):
    fake.statuses = [running(), silent(), KeyboardInterrupt()]
    out = run_ctl("status", "fleet.toml", "--watch", "--json").partition("--- stderr\n")[0]
    states = [json.loads(each).get("state") for each in out.splitlines()]
    # The last one is the error.
    assert states == ["running", "degraded", None]


def test_the_last_inventory_that_was_deployed_will_do(run_ctl, fake, tmp_path):
    (tmp_path / "fleet.toml").write_text("")
    run_ctl("deploy", "fleet.toml", "flow.py")
    assert run_ctl("status") == (
        f"{TABLE}--- stderr\ninventory: [folder]/fleet.toml, which was deployed last\n--- exit 0\n"
    )
