"""Who is let through to an engine, and who is not."""

import contextlib
import socket
import ssl

import pytest

from ctl.remote.relay import links
from ctl.remote.relay.relay import HALF_OPEN
from ctl.remote.relay.tls import context
from tests.ctl.remote.relay.two_hosts import accept, dial, write_certificates
from tests.engine.running import eventually


@pytest.fixture
def engine(hosts):
    """An engine that nobody has come to, so far."""
    with hosts.listen(0) as listener:
        yield listener


def nobody_came(listener):
    listener.settimeout(0)
    with contextlib.suppress(BlockingIOError):
        listener.accept()
        return False
    return True


def turned_away(relay, why):
    eventually(lambda: relay.lines, "a line")
    (line,) = relay.lines
    assert line.startswith("turned away 127.")
    assert why in line
    eventually(lambda: not relay.relay._half_open, "its end")


def is_closed(sock):
    with contextlib.suppress(ConnectionError):
        while sock.recv(4096):
            pass
    return True


@pytest.mark.parametrize(
    "said",
    [b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", b"\0" * 64, b"\x16\x03\x01"],
    ids=["HTTP", "zeros", "half a record"],
)
def test_who_does_not_speak_tls_is_turned_away(hosts, start, engine, said):
    relay = start(0)
    with dial(hosts.meshes[0]) as stranger:
        stranger.sendall(said)
        with contextlib.suppress(OSError):
            # It may be reset by now.
            stranger.shutdown(socket.SHUT_WR)
        assert is_closed(stranger)
    turned_away(relay, "TLS")
    assert nobody_came(engine)


def test_who_is_silent_is_turned_away(hosts, start, engine, monkeypatch):
    monkeypatch.setattr(links, "HANDSHAKE_SECONDS", 0.2)
    relay = start(0)
    with dial(hosts.meshes[0]) as stranger:
        assert is_closed(stranger)
    turned_away(relay, "it is silent")
    assert nobody_came(engine)


def shake_hands(place, made):
    """Tell whether the other side goes on after the handshake."""
    with dial(place) as sock, contextlib.suppress(OSError), made.wrap_socket(sock) as tls:
        tls.settimeout(5)
        return bool(tls.recv(1))
    return False


def test_who_has_no_certificate_is_turned_away(hosts, start, engine):
    relay = start(0)
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    made.check_hostname, made.verify_mode = False, ssl.CERT_NONE
    assert not shake_hands(hosts.meshes[0], made)
    turned_away(relay, "it has no certificate")
    assert nobody_came(engine)


def test_who_has_a_certificate_of_another_start_is_turned_away(hosts, start, engine, tmp_path):
    write_certificates(tmp_path / "other", 1)
    relay = start(0)
    made = context(tmp_path / "other", 1, server=False)
    made.verify_mode = ssl.CERT_NONE
    assert not shake_hands(hosts.meshes[0], made)
    turned_away(relay, "its certificate is refused")
    assert nobody_came(engine)


@pytest.mark.parametrize("process", [0, 2])
def test_who_has_a_certificate_of_no_peer_is_turned_away(
    hosts, start, engine, certificates, process
):
    relay = start(0)
    assert not shake_hands(hosts.meshes[0], context(certificates, process, server=False))
    turned_away(relay, f"its certificate is of process {process}, which is no peer")
    assert nobody_came(engine)


def test_old_tls_is_turned_away(hosts, start, engine, certificates):
    relay = start(0)
    made = context(certificates, 1, server=False)
    made.minimum_version = made.maximum_version = ssl.TLSVersion.TLSv1_2
    assert not shake_hands(hosts.meshes[0], made)
    turned_away(relay, "it does not speak TLS as it should")
    assert nobody_came(engine)


def test_a_relay_of_the_wrong_process_gets_no_data(hosts, start, certificates, tmp_path):
    """Whoever took over an address has to have the right certificate too."""
    made = context(certificates, 2, server=True)
    dials = start(1)
    with socket.create_server(hosts.meshes[0]) as thief, hosts.dial(1) as near:
        near.sendall(b"secret")
        thief.settimeout(20)
        with (
            contextlib.suppress(OSError),
            accept(thief) as sock,
            made.wrap_socket(sock, server_side=True) as tls,
        ):
            assert tls.recv(100) == b""
        eventually(lambda: dials.lines, "a line")
    assert dials.lines[0].endswith(": its certificate is of process 2")


def test_many_who_are_silent_do_not_keep_a_peer_away(hosts, relays, engine):
    silent = [dial(hosts.meshes[0]) for _ in range(HALF_OPEN + 20)]
    with hosts.dial(1) as near, accept(engine) as far:
        near.sendall(b"through")
        assert far.recv(100) == b"through"
    # The oldest had to go.
    eventually(lambda: len(relays[0].relay._half_open) <= HALF_OPEN, "fewer connections")
    assert is_closed(silent[0])
    assert len(relays[0].lines) <= 10
    for each in silent:
        each.close()
