import ssl
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.exceptions import InvalidSignature

from ctl.certificates import mint
from engine.errors import AuthenticationError
from engine.mesh.tls import TlsTransport
from engine.settings import TlsFiles
from tests.engine.mesh.conftest import Lines
from tests.engine.mesh.nodes import running, until

TODAY = datetime(2026, 11, 24, 18, 39, tzinfo=UTC)


@pytest.fixture
def cluster():
    with running() as cluster:
        yield cluster


@pytest.fixture
def lines(caplog):
    caplog.set_level("DEBUG", logger="engine.mesh")
    return Lines(caplog)


def files(folder, minted, process, trusts=None):
    folder.mkdir(exist_ok=True)
    names = TlsFiles(folder / "ca.pem", folder / f"{process}.pem", folder / f"{process}.key")
    certificate, key = minted.processes[process]
    names.ca.write_text((trusts or minted).authority)
    names.cert.write_text(certificate)
    names.key.write_text(key)
    return names


def read(text):
    return x509.load_pem_x509_certificate(text.encode())


def test_names_and_validity():
    minted = mint("flights", [0, 7], now=TODAY)
    assert list(minted.processes) == [0, 7]
    authority, process = read(minted.authority), read(minted.processes[7][0])
    assert authority.subject.rfc4514_string() == "CN=hostmesh flights"
    assert process.subject.rfc4514_string() == "CN=process 7 of flights"
    names = process.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.UniformResourceIdentifier) == ["hostmesh:process:7"]
    process.verify_directly_issued_by(authority)
    for each in (authority, process):
        assert each.not_valid_before_utc == TODAY - timedelta(days=1)
        assert each.not_valid_after_utc > TODAY + timedelta(days=3000)
    constraints = process.extensions.get_extension_for_class(x509.BasicConstraints)
    assert constraints.critical
    assert not constraints.value.ca


def test_a_name_of_any_length():
    minted = mint("a" * 63, [123])
    name = read(minted.processes[123][0]).subject.rfc4514_string()
    assert name.startswith("CN=process 123 of aaa")
    assert len(name) == 67


def test_nothing_is_the_same_twice():
    one, other = mint("flights", [0, 1]), mint("flights", [0, 1])
    texts = [text for each in (one, other) for pair in each.processes.values() for text in pair]
    assert len({*texts, one.authority, other.authority}) == 10
    with pytest.raises(InvalidSignature):
        read(one.authority).verify_directly_issued_by(read(other.authority))


def test_the_key_of_the_authority_is_nowhere():
    minted = mint("flights", [0])
    assert "PRIVATE" not in minted.authority + minted.processes[0][0]
    assert minted.processes[0][1].count("PRIVATE KEY") == 2


def test_the_mesh_takes_them(cluster, tmp_path):
    minted = mint("flights", range(3))
    each = {number: {"tls": files(tmp_path, minted, number)} for number in range(3)}
    for node in cluster.nodes(3, each=each):
        node.assembled()
        assert all(isinstance(link.transport, TlsTransport) for link in node.links.values())


@pytest.mark.parametrize("purpose", [ssl.Purpose.SERVER_AUTH, ssl.Purpose.CLIENT_AUTH])
def test_the_strictest_of_checks_takes_them(tmp_path, purpose):
    """As newer versions of Python make it by default."""
    names = files(tmp_path, mint("flights", [0]), 0)
    context = ssl.create_default_context(purpose, cafile=names.ca)
    context.verify_flags |= ssl.VERIFY_X509_STRICT
    context.check_hostname = False
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_cert_chain(names.cert, names.key)
    other = ssl.create_default_context(
        next(
            each for each in (ssl.Purpose.SERVER_AUTH, ssl.Purpose.CLIENT_AUTH) if each != purpose
        ),
        cafile=names.ca,
    )
    other.check_hostname = False
    other.verify_mode = ssl.CERT_REQUIRED
    other.verify_flags |= ssl.VERIFY_X509_STRICT
    other.load_cert_chain(names.cert, names.key)
    is_client = purpose == ssl.Purpose.SERVER_AUTH
    one, two = ssl.MemoryBIO(), ssl.MemoryBIO()
    ends = [
        context.wrap_bio(one, two, server_side=not is_client),
        other.wrap_bio(two, one, server_side=is_client),
    ]
    while ends:
        for end in list(ends):
            try:
                end.do_handshake()
            except ssl.SSLWantReadError:
                continue
            ends.remove(end)


def refused(cluster, lines, tmp_path, minted, other, trusts, reason):
    zero = files(tmp_path / "zero", minted, 0)
    one = files(tmp_path / "one", other, 1, trusts=trusts)
    nodes = cluster.nodes(2, each={0: {"tls": zero}, 1: {"tls": one}})
    error = nodes[1].failed()
    assert isinstance(error, AuthenticationError)
    # Whoever looks first says why, and the other one that it was refused.
    until(lambda: reason in str(error) or lines.having(reason))
    assert nodes[0].events.empty()


def test_another_start_or_deployment_is_refused(cluster, lines, tmp_path):
    """Its authority has the same name, and another key."""
    minted = mint("flights", [0, 1])
    refused(cluster, lines, tmp_path, minted, mint("flights", [1]), minted, "certificate")


def test_one_that_has_expired_is_refused(cluster, lines, tmp_path):
    long_ago = datetime.now(UTC) - timedelta(days=3652)
    old = mint("flights", [0, 1], now=long_ago)
    refused(cluster, lines, tmp_path, old, old, old, "expired")


def test_one_that_is_not_valid_yet_is_refused(cluster, lines, tmp_path):
    early = mint("flights", [0, 1], now=datetime.now(UTC) + timedelta(days=2))
    refused(cluster, lines, tmp_path, early, early, early, "not yet valid")


def test_clocks_that_differ_by_hours_do_no_harm(cluster, tmp_path):
    minted = mint("flights", range(2), now=datetime.now(UTC) + timedelta(hours=20))
    each = {number: {"tls": files(tmp_path, minted, number)} for number in range(2)}
    for node in cluster.nodes(2, each=each):
        node.assembled()
