"""The mesh of hosts is closed to a process with a wrong certificate, which is refused by name."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

import pytest

from ctl import Deployment, certificates
from ctl.certificates import Certificates, mint
from ctl.errors import HostsError
from tests.fleet.fleets import Fleet
from tests.fleet.flows import ticking
from tests.fleet.refusing import untouched
from tests.fleet.test_api import at

LONG_AGO = datetime.now(UTC) - timedelta(days=3651)
# What the process that dials says if it refuses the other one, and if it is refused.
THERE = "rejected process 0 at {}:9000: its certificate is refused here: "
HERE = "this process was rejected by process 0 at {}:9000: it refuses TLS: "


def minted(whose: str, victim: int, processes: Iterable[int]) -> Certificates:
    """Those of a deployment of two, one of which has a certificate that is not its own."""
    ours, expired = mint("flights", processes), mint("flights", [victim], now=LONG_AGO)
    theirs = {
        "a stranger": mint("flights", [victim]),
        "another deployment": mint("others", [victim]),
        "another process": Certificates("", {victim: ours.processes[1 - victim]}),
        "expired": expired,
    }[whose]
    # An expired one has nothing else that is wrong.
    trusted = ours.authority + (expired.authority if theirs is expired else "")
    return Certificates(trusted, {**ours.processes, **theirs.processes})


@pytest.mark.parametrize(
    ("whose", "victim", "begin", "end"),
    [
        ("a stranger", 0, THERE, "unable to get local issuer certificate"),
        ("a stranger", 1, HERE, "unknown ca"),
        ("another deployment", 0, THERE, "unable to get local issuer certificate"),
        ("another deployment", 1, HERE, "unknown ca"),
        (
            "another process",
            0,
            "rejected process 0 at {}:9000: ",
            "process 0 has a certificate for process 1",
        ),
        (
            "another process",
            1,
            "this process was rejected by process 0 at {}:9000: ",
            "process 1 has a certificate for process 0",
        ),
        ("expired", 0, THERE, "certificate has expired"),
        ("expired", 1, HERE, "certificate expired"),
    ],
)
def test_a_process_with_a_wrong_certificate(
    docker_fleet: Fleet,
    monkeypatch: pytest.MonkeyPatch,
    whose: str,
    victim: int,
    begin: str,
    end: str,
) -> None:
    alpha, _ = hosts = docker_fleet(2)
    site = docker_fleet.site()
    site.inventory(hosts)
    site.write("flow.py", ticking("one"))
    monkeypatch.setattr(certificates, "mint", lambda _, ids: minted(whose, victim, list(ids)))
    deployment = Deployment.load(at(site, monkeypatch))
    with pytest.raises(HostsError) as failed:
        deployment.deploy("flow.py")
    assert failed.value.exit_code == 77
    report = str(failed.value)
    assert "\n  beta  process 1 ended with exit code 77\n" in report
    (said,) = [line for line in report.splitlines() if "AuthenticationError" in line]
    assert begin.format(alpha.address) in said
    assert said.endswith(end)
    assert "exit 77; nothing was left behind" in report
    untouched(hosts)
