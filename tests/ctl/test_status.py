"""The state that hosts and processes add up to, its exit code, and the JSON."""

import json

import pytest

from ctl.status import DeploymentStatus, HostStatus, ProcessStatus, deployment_state

OLD, NEW = "55d0b1" + "0" * 58, "7c1e2a" + "0" * 58

ALPHA = HostStatus("alpha", True, None, NEW)
BETA = HostStatus("beta", True, None, NEW)
SILENT = HostStatus("beta", False, "no SSH answer in 5 s")
BEHIND = HostStatus("beta", True, None, OLD)


def processes(*states: str, codes: tuple[int | None, ...] = ()) -> list[ProcessStatus]:
    ends = (*codes, *[None] * len(states))
    return [
        ProcessStatus(index, "alpha", f"10.0.0.1:{9000 + index}", state, exit_code=code)  # type: ignore[arg-type]
        for index, (state, code) in enumerate(zip(states, ends, strict=False))
    ]


@pytest.mark.parametrize(
    ("states", "state", "code"),
    [
        ("running running", "running", 0),
        ("starting starting", "starting", 0),
        ("starting running", "starting", 0),
        ("finished finished", "finished", 0),
        ("finished running", "running", 0),
        ("finished starting", "starting", 0),
        ("stopped stopped", "stopped", 0),
        ("finished stopped", "stopped", 0),
        ("", "stopped", 0),
        ("running failed", "degraded", 74),
        ("starting failed", "degraded", 74),
        ("running stopped", "degraded", 74),
        ("running unknown", "degraded", 74),
        ("unknown unknown", "unknown", 69),
    ],
)
def test_processes_add_up(states, state, code):
    status = DeploymentStatus.of("flights", [ALPHA, BETA], processes(*states.split()))
    assert (status.state, status.detail, status.exit_code) == (state, None, code)


@pytest.mark.parametrize(
    ("states", "codes", "code"),
    [
        ("failed failed", (70, 74), 70),
        ("failed failed", (74, 70), 70),
        ("failed failed", (74, 74), 74),
        ("finished failed", (0, 78), 78),
        ("stopped failed", (None, 65), 65),
        ("failed failed", (-9, 70), 74),
        ("failed failed", (None, 70), 74),
        ("failed finished", (0, 0), 74),
    ],
)
def test_the_first_process_that_failed_gives_the_exit_code(states, codes, code):
    status = DeploymentStatus.of("flights", [ALPHA], processes(*states.split(), codes=codes))
    assert (status.state, status.exit_code) == ("failed", code)


def test_a_silent_host_degrades_it():
    status = DeploymentStatus.of("flights", [ALPHA, SILENT], processes("running", "unknown"))
    assert (status.state, status.detail, status.exit_code) == ("degraded", None, 69)
    assert status.release == NEW


def test_without_any_answer_nothing_is_known():
    status = DeploymentStatus.of("flights", [SILENT], processes("unknown"))
    assert (status.state, status.release, status.exit_code) == ("unknown", None, 69)


@pytest.mark.parametrize(
    ("hosts", "cut_off"),
    [
        ([ALPHA, BEHIND], False),
        ([ALPHA, HostStatus("beta", True)], False),
        ([ALPHA, BETA], True),
    ],
)
def test_a_deploy_that_was_cut_off_degrades_it(hosts, cut_off):
    state = deployment_state(hosts, processes("running", "running"), cut_off=cut_off)
    assert state == ("degraded", "deploy cut off")
    status = DeploymentStatus.of("flights", hosts, processes("running"), cut_off=cut_off)
    assert status.exit_code == 74


def test_silence_counts_for_more_than_a_cut():
    hosts = [ALPHA, HostStatus("gamma", True, None, OLD), SILENT]
    status = DeploymentStatus.of("flights", hosts, processes("running"))
    assert (status.state, status.detail, status.exit_code) == ("degraded", "deploy cut off", 69)


def test_the_json_has_the_keys_of_the_schema_in_order():
    first = ProcessStatus(
        0, "alpha", "10.0.0.1:9000", "running", 4711, 12.5, 0, None, 2, 10, 5, 0.25
    )
    second = ProcessStatus(1, "beta", "10.0.0.2:9000", "unknown")
    status = DeploymentStatus.of("flights", [ALPHA, SILENT], [second, first])
    assert json.loads(json.dumps(status.to_json())) == {
        "schema": 1,
        "deployment": "flights",
        "release": NEW,
        "state": "degraded",
        "hosts": [
            {
                "name": "alpha",
                "reachable": True,
                "error": None,
                "release": NEW,
                "clock_offset_s": None,
            },
            {
                "name": "beta",
                "reachable": False,
                "error": "no SSH answer in 5 s",
                "release": None,
                "clock_offset_s": None,
            },
        ],
        "processes": [
            {
                "id": 0,
                "host": "alpha",
                "address": "10.0.0.1:9000",
                "state": "running",
                "pid": 4711,
                "uptime_s": 12.5,
                "restarts": 0,
                "exit_code": None,
                "workers": 2,
                "items_in": 10,
                "items_out": 5,
                "lag_s": 0.25,
                "last_error": None,
            },
            {
                "id": 1,
                "host": "beta",
                "address": "10.0.0.2:9000",
                "state": "unknown",
                "pid": None,
                "uptime_s": None,
                "restarts": None,
                "exit_code": None,
                "workers": None,
                "items_in": None,
                "items_out": None,
                "lag_s": None,
                "last_error": None,
            },
        ],
    }
