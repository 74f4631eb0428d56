"""What `ctl` mints, on processes of a mesh: who does not belong to it is refused by name."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from ctl.certificates import Certificates, mint
from tests.engine.running import Launcher, free_ports, launcher
from tests.engine.test_cluster_failures import FINITE

NOW = datetime.now(UTC)
OURS = mint("flights", range(3))


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Launcher]:
    with launcher(tmp_path) as started:
        yield started


def flags(start: Launcher, minted: Certificates, process: int, trusted: Certificates) -> list[Path]:
    certificate, key = minted.processes[process]
    folder = start.folder / f"{id(minted)}-{process}"
    folder.mkdir()
    texts = {"--tls-ca": trusted.authority, "--tls-cert": certificate, "--tls-key": key}
    words = []
    for option, text in texts.items():
        path = folder / f"{option.strip('-')}.pem"
        path.touch(mode=0o600)
        path.write_text(text)
        words += [Path(option), path]
    return words


def test_processes_of_one_start_trust_each_other(start: Launcher) -> None:
    flow, ports = start.write("finite.py", FINITE), free_ports(3)
    cluster = [
        start.member(flow, each, ports, *flags(start, OURS, each, OURS)) for each in range(3)
    ]
    assert [each.code() for each in cluster] == [0, 0, 0], cluster[0].err
    assert "".join(each.out for each in cluster) == "('all', 4950)\n"


@pytest.mark.parametrize(
    ("theirs", "trusted", "why"),
    [
        # Everything of another start, of the same deployment or of another one.
        (mint("flights", [1]), None, "certificate"),
        (mint("others", [1]), None, "certificate"),
        # Who has got hold of our authority, which is no secret, but not of its key.
        (mint("flights", [1]), OURS, "unknown ca"),
    ],
    ids=["another start", "another deployment", "a stranger"],
)
def test_who_is_not_ours_is_refused_by_both(
    start: Launcher, theirs: Certificates, trusted: Certificates | None, why: str
) -> None:
    flow, ports = start.write("finite.py", FINITE), free_ports(2)
    first = start.member(flow, 0, ports, *flags(start, OURS, 0, OURS))
    other = start.member(flow, 1, ports, *flags(start, theirs, 1, trusted or theirs))
    assert other.code() == 77, other.err
    assert why in other.err
    assert "process 0" in other.err
    first.prints("rejected")
    assert not first.ended
    friend = start.member(flow, 1, ports, *flags(start, OURS, 1, OURS))
    assert [first.code(), friend.code()] == [0, 0], first.err


def test_a_certificate_of_another_process_is_refused_by_both(start: Launcher) -> None:
    flow, ports = start.write("finite.py", FINITE), free_ports(2)
    first = start.member(flow, 0, ports, *flags(start, OURS, 0, OURS))
    other = start.member(flow, 1, ports, *flags(start, OURS, 2, OURS))
    assert other.code() == 77, other.err
    assert "process 1 has a certificate for process 2" in other.err
    first.prints("process 1 has a certificate for process 2")
    assert not first.ended


def test_certificates_that_have_expired_are_refused(start: Launcher) -> None:
    expired = mint("flights", range(2), now=NOW - timedelta(days=3651))
    flow, ports = start.write("finite.py", FINITE), free_ports(2)
    cluster = [
        start.member(flow, each, ports, *flags(start, expired, each, expired)) for each in range(2)
    ]
    assert cluster[1].code() == 77, cluster[1].err
    assert "expired" in cluster[1].err
    cluster[0].prints("expired")


def test_a_clock_that_is_behind_by_hours_does_no_harm(start: Launcher) -> None:
    early = mint("flights", range(2), now=NOW + timedelta(hours=12))
    flow, ports = start.write("finite.py", FINITE), free_ports(2)
    cluster = [
        start.member(flow, each, ports, *flags(start, early, each, early)) for each in range(2)
    ]
    assert [each.code() for each in cluster] == [0, 0], cluster[0].err
