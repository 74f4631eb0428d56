import time

import pytest

from engine.errors import AuthenticationError, ConfigurationError
from engine.mesh.assembly import listen
from engine.mesh.control import Message
from engine.mesh.tls import TlsTransport
from engine.messages import Barrier, Channel, Encoded
from engine.settings import Address, ClusterSettings
from tests.engine.mesh.certificates import Authority
from tests.engine.mesh.conversation import hello
from tests.engine.mesh.nodes import address_of, until

CHANNEL = Channel(0, 0, 1)


@pytest.fixture
def authority(tmp_path):
    return Authority(tmp_path)


def secured(*files):
    return {process: {"tls": each} for process, each in enumerate(files)}


@pytest.mark.parametrize("secret", [None, b"secret"])
def test_good_certificates(cluster, authority, secret):
    files = [authority.issue(process) for process in range(3)]
    nodes = cluster.nodes(3, each=secured(*files), secret=secret)
    for node in nodes:
        node.assembled()
        assert all(isinstance(link.transport, TlsTransport) for link in node.links.values())
    nodes[2].mesh.broadcast({"x": "y" * 100_000})
    for node in nodes[:2]:
        assert node.next(Message).process == 2


def test_data_of_any_size_crosses(cluster, authority):
    one, other = cluster.nodes(2, each=secured(authority.issue(0), authority.issue(1)))
    one.assembled()
    other.assembled()
    sender, receiver = one.links[1], other.links[0]
    batch = Encoded(CHANNEL, b"p" * 100, [memoryview(bytes(range(256)) * 20_000)])
    sender.connection.send(batch)
    sender.connection.send(Barrier(CHANNEL, 1))
    sender.connection.send(batch)
    sender.connection.send(Barrier(CHANNEL, 2))
    got = []

    def move():
        sender.transport.flush(sender.connection)
        got.extend(receiver.transport.read(receiver.connection, time.monotonic()))
        return len(got) == 4

    until(move)
    assert [type(event) for event in got] == [Encoded, Barrier, Encoded, Barrier]
    assert bytes(got[2].buffers[0]) == bytes(batch.buffers[0])
    assert not sender.transport.wants_write(sender.connection)


def refused(cluster, lines, files, at_zero, at_one):
    """Process 1 fails, process 0 waits on for a better one, and both say why."""
    zero, one = cluster.nodes(2, each=secured(*files))
    error = one.failed()
    assert isinstance(error, AuthenticationError)
    assert at_one in str(error)
    lines.wait("127.0.0.1", at_zero)
    assert zero.events.empty()


def test_a_certificate_of_another_authority(cluster, authority, tmp_path, lines):
    other = Authority(tmp_path, "other")
    files = authority.issue(0), other.issue(1, trusts=authority)
    refused(cluster, lines, files, "its certificate is refused here: unable", "it refuses TLS")


def test_an_expired_certificate(cluster, authority, lines):
    files = authority.issue(0), authority.issue(1, valid_days=-1)
    refused(
        cluster,
        lines,
        files,
        "its certificate is refused here: certificate has expired",
        "it refuses TLS: sslv3 alert certificate expired",
    )


def test_an_expired_certificate_of_the_acceptor(cluster, authority, lines):
    files = authority.issue(0, valid_days=-1), authority.issue(1)
    refused(
        cluster,
        lines,
        files,
        "it refuses TLS: sslv3 alert certificate expired",
        "its certificate is refused here: certificate has expired",
    )


def test_a_certificate_of_another_process(cluster, authority, lines):
    reason = "process 1 has a certificate for process 2"
    refused(cluster, lines, (authority.issue(0), authority.issue(2)), reason, reason)


def test_a_certificate_of_no_process(cluster, authority, lines):
    files = authority.issue(0), authority.issue(1, uri="https://example.com")
    reason = "process 1 has a certificate for process none"
    refused(cluster, lines, files, reason, reason)


@pytest.mark.parametrize("process", [0, 1])
def test_tls_on_one_side_only(cluster, authority, lines, process):
    """Each dials or probes the other, so that each can say what it sees."""
    cluster.nodes(2, each={process: {"tls": authority.issue(process)}})
    lines.wait("rejected connection from 127.0.0.1", "it does not speak TLS as it should")
    lines.wait("rejected connection from 127.0.0.1", "it speaks TLS, and this process was given no")
    lines.wait("waiting for", "during the TLS handshake; does the peer use TLS?")


@pytest.mark.parametrize("data", [b"", b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01\xff\xff" * 99])
def test_strangers(cluster, authority, lines, data):
    listeners = [cluster.listener(), cluster.listener()]
    addresses = [address_of(listener) for listener in listeners]
    zero = cluster.node(listeners[0], addresses, 0, tls=authority.issue(0))
    stranger = cluster.connect(addresses[0])
    stranger.sendall(data)
    lines.wait(f"rejected connection from {address_of(stranger)}")
    one = cluster.node(listeners[1], addresses, 1, tls=authority.issue(1))
    zero.assembled()
    one.assembled()


def test_who_has_the_port_is_asked_over_tls(cluster, authority, lines):
    zero, one = cluster.nodes(2, each=secured(authority.issue(0), authority.issue(1)))
    zero.assembled()
    one.assembled()
    with pytest.raises(OSError, match="process id 1 is already running there"):
        listen(one.settings, hello(1, addresses=one.hello.addresses, instance="second"))
    lines.wait("rejected connection from", "process id 1 is already taken by")


def test_files_that_are_not_there(authority, tmp_path):
    files = authority.issue(0)
    for name in ("ca", "cert", "key"):
        broken = type(files)(**{**vars(files), name: tmp_path / "none.pem"})
        settings = ClusterSettings(addresses=(Address("127.0.0.1", 1),), tls=broken)
        with pytest.raises(ConfigurationError, match=r"none.pem cannot be read: No such file"):
            listen(settings, hello(0))


def test_a_key_that_does_not_belong_to_the_certificate(authority):
    files = authority.issue(0)
    broken = type(files)(files.ca, files.cert, authority.issue(0).key)
    settings = ClusterSettings(addresses=(Address("127.0.0.1", 1),), tls=broken)
    with pytest.raises(ConfigurationError, match="cannot be used"):
        listen(settings, hello(0))
