"""TLS between real processes, by the flags of `engine.run`."""

from pathlib import Path

import pytest

from engine.settings import TlsFiles
from tests.engine.mesh.certificates import Authority
from tests.engine.running import Launcher, free_ports
from tests.engine.test_cluster_failures import FINITE


@pytest.fixture
def flow(start: Launcher) -> Path:
    return start.write("finite.py", FINITE)


def flags(files: TlsFiles) -> list[object]:
    return ["--tls-ca", files.ca, "--tls-cert", files.cert, "--tls-key", files.key]


def test_a_cluster_with_certificates(start: Launcher, flow: Path, tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    ports = free_ports(3)
    cluster = [start.member(flow, each, ports, *flags(authority.issue(each))) for each in range(3)]
    assert [each.code() for each in cluster] == [0, 0, 0], cluster[0].err
    assert "".join(each.out for each in cluster) == "('all', 4950)\n"


def test_a_certificate_of_another_process_is_refused_by_both(
    start: Launcher, flow: Path, tmp_path: Path
) -> None:
    authority = Authority(tmp_path)
    ports = free_ports(2)
    first = start.member(flow, 0, ports, *flags(authority.issue(0)))
    other = start.member(flow, 1, ports, *flags(authority.issue(2)))
    assert other.code() == 77
    assert "process 1 has a certificate for process 2" in other.err
    first.prints("process 1 has a certificate for process 2")
    friend = start.member(flow, 1, ports, *flags(authority.issue(1)))
    assert [first.code(), friend.code()] == [0, 0]


def test_a_certificate_of_a_stranger_is_refused_by_both(
    start: Launcher, flow: Path, tmp_path: Path
) -> None:
    authority, stranger = Authority(tmp_path), Authority(tmp_path, "other")
    ports = free_ports(2)
    first = start.member(flow, 0, ports, *flags(authority.issue(0)))
    other = start.member(flow, 1, ports, *flags(stranger.issue(1)))
    assert other.code() == 77
    assert "certificate" in other.err
    first.prints("rejected")
    assert not first.ended


def test_addresses_beyond_loopback_need_protection(start: Launcher, flow: Path) -> None:
    words = ["-P", "-m", "engine.run", flow, "-i", 0, "-a", "192.0.2.1:9000;192.0.2.2:9000"]
    open_ = start.python(*words)
    assert open_.code() == 78
    assert "--tls-ca" in open_.err
    assert "--insecure" in open_.err
