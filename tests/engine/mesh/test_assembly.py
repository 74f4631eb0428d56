import os
import socket
import threading

import pytest

from engine.errors import ConfigurationError, PeerUnavailableError
from engine.mesh.assembly import check_protection, listen
from engine.settings import Address, ClusterSettings, TlsFiles
from tests.engine.mesh.conversation import hello
from tests.engine.mesh.nodes import address_of

REMOTE = (Address("192.0.2.1", 9000), Address("192.0.2.2", 9000))


def settings_for(*addresses, **kw):
    return ClusterSettings(addresses=addresses, **kw)


def test_the_own_address_is_listened_on():
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        address = address_of(sock)
    with listen(settings_for(address), hello(0)) as listener:
        assert address_of(listener) == address
        assert not listener.getblocking()
        socket.create_connection(address).close()


def test_a_wildcard_can_be_bound(lines):
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        address = address_of(sock)
    settings = settings_for(address, bind="0.0.0.0", insecure=True)
    with listen(settings, hello(0)) as listener:
        assert address_of(listener) == Address("0.0.0.0", address.port)
    lines.wait("the mesh is insecure")


def test_the_socket_of_a_launcher_is_taken(cluster):
    listener = cluster.listener()
    settings = settings_for(Address("127.0.0.1", 1), listen_fd=os.dup(listener.fileno()))
    with listen(settings, hello(0)) as taken:
        assert address_of(taken) == address_of(listener)
        assert not taken.get_inheritable()


def test_a_descriptor_that_is_no_socket(tmp_path):
    with (tmp_path / "file").open("w") as file:
        settings = settings_for(Address("127.0.0.1", 1), listen_fd=file.fileno())
        with pytest.raises(ConfigurationError, match="is no socket to listen on"):
            listen(settings, hello(0))


@pytest.mark.parametrize("answer", [b"", b"HTTP/1.0 400 Bad Request\r\n\r\n"])
def test_a_port_in_use_by_another_program(answer):
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = address_of(server)
        thread = threading.Thread(target=answer_one, args=(server, answer))
        thread.start()
        with pytest.raises(PeerUnavailableError) as caught:
            listen(settings_for(address), hello(0))
        thread.join()
    assert str(caught.value) == (
        f"process 0 cannot listen on {address}: the port is in use by another program"
    )


def answer_one(server, data):
    client, _ = server.accept()
    client.sendall(data)
    client.close()


@pytest.mark.parametrize("secret", [None, b"secret"])
def test_a_second_process_with_the_same_id_and_port(cluster, lines, secret):
    nodes = cluster.nodes(2, secret=secret)
    for node in nodes:
        node.assembled()
    second = hello(1, addresses=nodes[1].hello.addresses)
    with pytest.raises(PeerUnavailableError) as caught:
        listen(nodes[1].settings, second)
    assert f"process id 1 is already running there: {nodes[1].hello}" in str(caught.value)
    lines.wait("rejected connection from 127.0.0.1", "process id 1 is already taken by")
    assert all(node.events.empty() for node in nodes)


def test_the_port_belongs_to_another_process(cluster):
    one, _ = cluster.nodes(2)
    addresses = (one.settings.addresses[1], one.settings.addresses[0])
    settings = settings_for(*addresses, process_id=1)
    with pytest.raises(PeerUnavailableError, match="the port is in use by process 0"):
        listen(settings, hello(1, addresses=tuple(map(str, addresses))))


def test_a_port_of_a_cluster_with_another_secret(cluster):
    one, _ = cluster.nodes(2, secret=b"right")
    settings = settings_for(*one.settings.addresses, secret=b"wrong")
    with pytest.raises(PeerUnavailableError, match="already running there: process 0"):
        listen(settings, hello(0))


def test_an_address_of_another_machine():
    settings = settings_for(*REMOTE, insecure=True)
    with pytest.raises(PeerUnavailableError, match="no interface of this host has that address"):
        listen(settings, hello(0))


def test_a_name_that_is_not_known(monkeypatch):
    def find_none(*_, **__):
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", find_none)
    with pytest.raises(PeerUnavailableError, match=r"nowhere:9000: Name or service not known"):
        listen(settings_for(Address("nowhere", 9000), insecure=True), hello(0))


def test_a_mesh_beyond_loopback_needs_protection():
    with pytest.raises(ConfigurationError, match=r"192.0.2.1:9000 can be reached from other"):
        listen(settings_for(*REMOTE), hello(0))


def test_one_address_beyond_loopback_is_enough():
    with pytest.raises(ConfigurationError, match=r"192.0.2.2:9000 can be reached"):
        check_protection(settings_for(Address("127.0.0.1", 9000), REMOTE[1]))


def test_binding_beyond_loopback_needs_protection():
    with pytest.raises(ConfigurationError, match=r"0.0.0.0 can be reached"):
        check_protection(settings_for(Address("127.0.0.1", 9000), bind="0.0.0.0"))


def test_an_insecure_mesh_is_warned_of(lines):
    check_protection(settings_for(*REMOTE, insecure=True))
    lines.wait("the mesh is insecure", "192.0.2.1:9000")


@pytest.mark.parametrize("secure", ["loopback", "tls"])
def test_no_warning_where_none_is_due(lines, secure, tmp_path):
    loopback = (
        Address("127.0.0.1", 9000),
        Address("::1", 9000),
        Address("localhost", 9000),
        Address("::ffff:127.0.0.1", 9000),
    )
    files = TlsFiles(tmp_path, tmp_path, tmp_path)
    if secure == "tls":
        check_protection(settings_for(*REMOTE, tls=files, insecure=True))
    else:
        check_protection(settings_for(*loopback))
    assert lines.all == []
