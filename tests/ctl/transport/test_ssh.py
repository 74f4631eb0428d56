"""Against real servers on loopback."""

import errno
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from types import SimpleNamespace

import pytest

from ctl.errors import CtlError, LostError, UnauthorisedError, UnreachableError
from ctl.inventory import Host
from ctl.transport import SshSettings, open_channel
from ctl.transport.ssh import dial
from ctl.transport.ssh.channel import SshChannel
from ctl.transport.ssh.gate import Gate
from tests.ctl.transport.site import Site, echoes
from tests.engine.running import eventually, free_ports
from tests.fleet.keys import Key
from tests.fleet.sshd import Sshd


@contextmanager
def port_that(answers: bytes | None, *, stays: bool = False) -> Iterator[tuple[str, int]]:
    """A port where something says this, and hangs up unless it stays; None says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        kept: list[socket.socket] = []

        def serve() -> None:
            with suppress(OSError):
                while True:
                    connection = server.accept()[0]
                    kept.append(connection)
                    if answers is not None:
                        connection.recv(1)
                        connection.sendall(answers)
                        if not stays:
                            connection.shutdown(socket.SHUT_RDWR)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield server.getsockname()
        finally:
            server.shutdown(socket.SHUT_RDWR)
            thread.join()
            for connection in kept:
                connection.close()


# Host keys.


def test_a_known_host_is_talked_to(site: Site) -> None:
    server = site.server()
    site.know(server)
    assert echoes(site.open(site.configure("alpha", server)))


def test_an_unknown_host_key_is_refused_with_its_fingerprint(site: Site) -> None:
    server = site.server()
    host = site.configure("alpha", server)
    with pytest.raises(UnauthorisedError) as caught:
        site.open(host, trust_command="ctl trust fleet.toml")
    public = site.folder / "public"
    public.write_text(server.host_key.public)
    fingerprint = site.keygen("-l", "-f", public).split()[1]
    assert fingerprint in caught.value.problem
    assert f"alpha (127.0.0.2 port {server.port})" in caught.value.problem
    assert "ssh-ed25519" in caught.value.problem
    assert str(site.known_hosts) in caught.value.problem
    assert caught.value.fix.endswith("`ctl trust fleet.toml`")
    assert caught.value.exit_code == 77
    assert not site.known_hosts.exists()
    assert "Accepted" not in server.log


def test_a_new_key_is_stored_on_request(site: Site) -> None:
    server = site.server()
    host = site.configure("alpha", server)
    assert echoes(site.open(host, host_keys="accept-new"))
    assert site.known_hosts.read_text() == server.known_hosts_line
    assert echoes(site.open(host))


@pytest.mark.parametrize("policy", ["strict", "accept-new"])
def test_a_changed_key_is_always_refused(policy: str, site: Site) -> None:
    server = site.server()
    host = site.configure("alpha", server)
    before = f"# mine\n[127.0.0.2]:{server.port} {Key.new().public}\n"
    site.known_hosts.write_text(before)
    with pytest.raises(UnauthorisedError) as caught:
        site.open(host, host_keys=policy)
    assert caught.value.problem.count("SHA256:") == 2
    assert f"{site.known_hosts}:2" in caught.value.problem
    assert f"ssh-keygen -R '[127.0.0.2]:{server.port}' -f {site.known_hosts}" in caught.value.fix
    assert site.known_hosts.read_text() == before
    assert "Accepted" not in server.log


@pytest.mark.parametrize("policy", ["strict", "accept-new"])
def test_a_revoked_key_is_always_refused(policy: str, site: Site) -> None:
    server = site.server()
    host = site.configure("alpha", server)
    site.know(server)
    (site.folder / "global_known_hosts").write_text(f"@revoked * {server.host_key.public}\n")
    with pytest.raises(UnauthorisedError, match=r"revoked by .*global_known_hosts:1"):
        site.open(host, host_keys=policy)


@pytest.mark.parametrize("policy", ["strict", "accept-new"])
def test_a_certificate_authority_is_not_enough(policy: str, site: Site) -> None:
    host = site.configure("alpha", site.server())
    site.known_hosts.write_text(f"@cert-authority * {Key.new().public}\n")
    with pytest.raises(UnauthorisedError, match=r"certificates cannot be verified here") as caught:
        site.open(host, host_keys=policy)
    assert "ctl trust" in caught.value.fix


def test_hashed_names_are_found(site: Site) -> None:
    server = site.server()
    host = site.configure("alpha", server)
    site.know(server)
    site.keygen("-H", "-f", site.known_hosts)
    assert "127.0.0.2" not in site.known_hosts.read_text()
    assert echoes(site.open(host))


def test_wildcards_comments_and_malformed_lines(site: Site) -> None:
    server = site.server()
    host = site.configure("alpha", server)
    site.known_hosts.write_text(
        f"# comment\nmalformed\n\n@revoked\n[127.0.0.*]:* {server.host_key.public} comment\n"
    )
    assert echoes(site.open(host))


def test_an_alias_names_the_key(site: Site) -> None:
    server = site.server()
    host = site.configure("alpha", server, "HostKeyAlias the-first")
    site.known_hosts.write_text(f"the-first {server.host_key.public}\n")
    assert echoes(site.open(host))


@pytest.mark.parametrize("kind", ["rsa", "ecdsa"])
def test_a_host_shows_the_type_of_key_that_is_known(kind: str, site: Site) -> None:
    file = site.folder / f"host_{kind}"
    site.keygen("-q", "-t", kind, "-N", "", "-f", file)
    server = site.server(f"HostKey {file}")
    host = site.configure("alpha", server)
    public = file.with_name(f"{file.name}.pub").read_text()
    site.known_hosts.write_text(f"[127.0.0.2]:{server.port} {public}")
    assert echoes(site.open(host))


def test_a_key_of_another_type_than_the_known_one_is_a_change(site: Site) -> None:
    file = site.folder / "host_rsa"
    site.keygen("-q", "-t", "rsa", "-N", "", "-f", file)
    server = site.server()
    host = site.configure("alpha", server)
    public = file.with_name(f"{file.name}.pub").read_text()
    site.known_hosts.write_text(f"[127.0.0.2]:{server.port} {public}")
    with pytest.raises(UnauthorisedError, match="has changed"):
        site.open(host, host_keys="accept-new")


def test_an_included_file_counts(site: Site) -> None:
    server = site.server()
    site.know(server)
    more = f"Host *.lab\n  HostName {server.address}\n  Port {server.port}\n"
    (site.folder / "more").write_text(more)
    settings = site.settings()
    site.config.write_text(f"Include {site.folder}/more\n{site.config.read_text()}")
    channel = open_channel(Host(name="alpha", ssh="alpha.lab"), "cat", settings)
    assert echoes(channel)
    channel.close()


# Bastions.


def test_through_a_bastion_with_a_key_of_its_own(site: Site) -> None:
    other = Key.new()
    private = site.private("bastion_identity", other)
    bastion, server = site.server(key=other), site.server()
    site.know(bastion, server)
    site.configure("jump", bastion, f"IdentityFile {private}", "IdentitiesOnly yes")
    host = site.configure("alpha", server, "ProxyJump jump")
    assert echoes(site.open(host))
    assert "Accepted publickey" in bastion.log
    assert "Accepted publickey" in server.log


def test_through_two_bastions(site: Site) -> None:
    servers = [site.server() for _ in range(3)]
    site.know(*servers)
    site.configure("one", servers[0])
    site.configure("two", servers[1])
    channel = site.open(site.configure("alpha", servers[2], "ProxyJump one,two"))
    assert echoes(channel)
    channel.close()
    assert channel.receive(1) == b""


def test_the_host_key_of_a_bastion_is_verified(site: Site) -> None:
    bastion, server = site.server(), site.server()
    site.know(server)
    site.configure("jump", bastion)
    host = site.configure("alpha", server, "ProxyJump jump")
    with pytest.raises(
        UnauthorisedError, match=r"^bastion jump: the host key of jump .* not known"
    ):
        site.open(host)


def test_the_host_key_behind_a_bastion_is_verified(site: Site) -> None:
    bastion, server = site.server(), site.server()
    site.know(bastion)
    site.configure("jump", bastion)
    host = site.configure("alpha", server, "ProxyJump jump")
    with pytest.raises(UnauthorisedError, match=r"^the host key of alpha .* is not known"):
        site.open(host)


def test_a_bastion_that_is_down_is_named(site: Site) -> None:
    site.configure("jump", ("127.0.0.1", free_ports(1)[0]))
    host = site.configure("alpha", ("127.0.0.1", 22), "ProxyJump jump")
    with pytest.raises(UnreachableError, match=r"^bastion jump: 127.0.0.1 port \d+ refused"):
        site.open(host)


def test_a_bastion_says_why_it_cannot_reach_a_host(site: Site) -> None:
    bastion = site.server()
    site.know(bastion)
    site.configure("jump", bastion)
    host = site.configure("alpha", ("127.0.0.1", free_ports(1)[0]), "ProxyJump jump")
    with pytest.raises(UnreachableError, match=r"bastion before alpha cannot reach 127"):
        site.open(host)


def test_a_bastion_that_forwards_nothing_is_told(site: Site) -> None:
    bastion, server = site.server("AllowTcpForwarding no"), site.server()
    site.know(bastion, server)
    site.configure("jump", bastion)
    host = site.configure("alpha", server, "ProxyJump jump")
    with pytest.raises(UnauthorisedError, match="does not forward"):
        site.open(host)


def test_a_host_that_is_silent_behind_a_bastion_is_given_up(site: Site) -> None:
    bastion = site.server()
    site.know(bastion)
    site.configure("jump", bastion)
    with port_that(None) as place:
        host = site.configure("alpha", place, "ProxyJump jump")
        gate = Gate(sleep=lambda _: pytest.fail("tried again"))
        with pytest.raises(UnreachableError, match=r"says nothing for 1 s"):
            site.open(host, connect_timeout=1.0, gate=gate)


# Logins.


@pytest.mark.parametrize("kind", ["ed25519", "ecdsa", "rsa"])
def test_keys_of_each_type_log_in(kind: str, site: Site) -> None:
    file = site.folder / "mine"
    site.keygen("-q", "-t", kind, "-N", "", "-f", file)
    server = site.server()
    server.authorize(file.with_name("mine.pub").read_text())
    site.know(server)
    assert echoes(site.open(site.configure("alpha", server, f"IdentityFile {file}")))


@pytest.fixture
def locked(site: Site) -> tuple[Path, Sshd]:
    """An encrypted key, and a server that takes no other."""
    file = site.folder / "locked"
    site.keygen("-q", "-t", "ed25519", "-N", "open, sesame", "-f", file)
    server = site.server()
    server.authorize(file.with_name("locked.pub").read_text())
    site.know(server)
    return file, server


def test_a_passphrase_is_asked_for_once(locked: tuple[Path, Sshd], site: Site) -> None:
    file, server = locked
    asked: list[str] = []

    def ask(prompt: str) -> str:
        asked.append(prompt)
        return "open, sesame" if len(asked) > 1 else "wrong"

    host = site.configure("alpha", server, f"IdentityFile {file}")
    settings = site.settings(ask)
    with ThreadPoolExecutor(4) as threads:
        channels = list(threads.map(lambda _: open_channel(host, "cat", settings), range(4)))
    assert all(echoes(channel) for channel in channels)
    for channel in channels:
        channel.close()
    assert asked == [f"Passphrase of {file}: ", f"Wrong. Passphrase of {file}: "]


def test_nobody_is_asked_if_another_key_will_do(locked: tuple[Path, Sshd], site: Site) -> None:
    file, server = locked
    server.authorize(site.key.public)
    host = site.configure("alpha", server, f"IdentityFile {file}")
    assert echoes(site.open(host, ask=lambda _: pytest.fail("asked")))


def test_an_encrypted_key_without_a_terminal_is_named(
    locked: tuple[Path, Sshd], site: Site
) -> None:
    file, server = locked
    host = site.configure("alpha", server, f"IdentityFile {file}")
    with pytest.raises(UnauthorisedError, match="no terminal to ask") as caught:
        site.open(host)
    assert str(file) in caught.value.problem
    assert caught.value.fix == f"hand it to an agent: ssh-add {file}"


@pytest.mark.parametrize(("answer", "why"), [(None, "no passphrase"), ("no", "3 passphrases")])
def test_without_the_passphrase_there_is_no_login(
    answer: str | None, why: str, locked: tuple[Path, Sshd], site: Site
) -> None:
    file, server = locked
    host = site.configure("alpha", server, f"IdentityFile {file}")
    with pytest.raises(UnauthorisedError, match=why):
        site.open(host, ask=lambda _: answer)


def test_an_agent_logs_in(site: Site) -> None:
    agent = site.agent(site.identity)
    server = site.server()
    site.know(server)
    site.identity.unlink()
    assert echoes(site.open(site.configure("alpha", server, f"IdentityAgent {agent}")))


def test_the_agent_of_the_environment_logs_in(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSH_AUTH_SOCK", str(site.agent(site.identity)))
    server = site.server()
    site.know(server)
    site.identity.unlink()
    assert echoes(site.open(site.configure("alpha", server, "IdentityAgent SSH_AUTH_SOCK")))


def test_of_an_agent_with_many_keys_the_named_one_is_tried(site: Site) -> None:
    keys = [site.private(f"other{number}", Key.new()) for number in range(4)]
    agent = site.agent(*keys, site.identity)
    server = site.server("MaxAuthTries 2")
    site.know(server)
    site.identity.with_name("identity.pub").write_text(site.key.public)
    site.identity.unlink()
    host = site.configure("alpha", server, f"IdentityAgent {agent}", "IdentitiesOnly yes")
    assert echoes(site.open(host))


def test_too_many_keys_are_told(site: Site) -> None:
    keys = [site.private(f"other{number}", Key.new()) for number in range(4)]
    server = site.server("MaxAuthTries 2")
    site.know(server)
    host = site.configure("alpha", server, f"IdentityAgent {site.agent(*keys)}")
    with pytest.raises(UnauthorisedError, match="no more tries") as caught:
        site.open(host)
    assert "IdentitiesOnly" in caught.value.fix


def test_a_gone_agent_is_no_reason_to_give_up(site: Site) -> None:
    server = site.server()
    site.know(server)
    assert echoes(site.open(site.configure("alpha", server, "IdentityAgent /nowhere")))


def test_a_refused_login_says_who_and_with_what(site: Site) -> None:
    server = site.server(key=Key.new())
    site.know(server)
    host = site.configure("alpha", server)
    with pytest.raises(UnauthorisedError) as caught:
        site.open(host)
    assert caught.value.problem == (
        f"{server.user}@127.0.0.2 refuses the login; tried {site.identity}"
    )
    assert "ssh-copy-id" in caught.value.fix


def test_a_user_that_is_not_there_is_named(site: Site) -> None:
    server = site.server()
    site.know(server)
    site.configure("alpha", server)
    with pytest.raises(UnauthorisedError, match=r"^nobody-here@127.0.0.2 refuses the login"):
        site.open(site.host("alpha", user="nobody-here"))


def test_without_any_key_there_is_advice(site: Site) -> None:
    server = site.server()
    site.know(server)
    site.identity.unlink()
    with pytest.raises(UnauthorisedError, match="there is no key to log in with") as caught:
        site.open(site.configure("alpha", server))
    assert str(site.identity) in caught.value.problem
    assert "ssh-keygen" in caught.value.fix


def test_what_is_no_key_is_named(site: Site) -> None:
    server = site.server()
    site.know(server)
    site.identity.write_text("no key")
    with pytest.raises(UnauthorisedError, match=f"{site.identity}: "):
        site.open(site.configure("alpha", server))


def test_a_server_that_takes_no_keys_is_told(site: Site) -> None:
    server = site.server("PubkeyAuthentication no", "PasswordAuthentication yes")
    site.know(server)
    with pytest.raises(UnauthorisedError, match=r"takes no keys, but .*password"):
        site.open(site.configure("alpha", server))


def test_a_server_that_wants_more_than_a_key_is_told(site: Site) -> None:
    server = site.server("PasswordAuthentication yes", "AuthenticationMethods publickey,password")
    site.know(server)
    with pytest.raises(UnauthorisedError, match=r"wants more: .*password"):
        site.open(site.configure("alpha", server))


# What is not there.


def test_a_refused_connection(site: Site) -> None:
    port = free_ports(1)[0]
    with pytest.raises(UnreachableError, match=f"127.0.0.1 port {port} refused") as caught:
        site.open(site.configure("alpha", ("127.0.0.1", port)))
    assert "ssh_port" in caught.value.fix


def test_a_name_that_nobody_knows(site: Site) -> None:
    with pytest.raises(UnreachableError, match=r"the name nobody\.invalid is not known"):
        site.open(site.host("nobody.invalid"))


def test_a_name_server_that_does_not_answer(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    done = threading.Event()

    def look_up(*_: object, **__: object) -> list[object]:
        assert done.wait(30)
        return []

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    with pytest.raises(UnreachableError, match=r"no name server knew alpha within 0\.1 s"):
        site.open(site.host("alpha"), connect_timeout=0.1)
    done.set()


def test_a_host_that_drops_packets_is_given_up(site: Site) -> None:
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        # The kernel drops what comes when the queue is full.
        waiting = [socket.socket() for _ in range(4)]
        for each in waiting:
            each.setblocking(False)
            each.connect_ex(full.getsockname())
        host = site.configure("alpha", full.getsockname())
        with pytest.raises(UnreachableError, match=r"has not answered in 0\.5 s"):
            site.open(host, connect_timeout=0.5)
        for each in waiting:
            each.close()


@pytest.mark.parametrize("number", [errno.EHOSTUNREACH, errno.ENETUNREACH])
def test_no_route(number: int, site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    def connect(*_: object) -> None:
        raise OSError(number, "no route")

    monkeypatch.setattr(dial, "_connect", connect)
    with pytest.raises(UnreachableError, match=r"there is no route to 127\.0\.0\.1 port 22"):
        site.open(site.configure("alpha", ("127.0.0.1", 22)))


def test_of_several_addresses_each_is_tried(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    server = site.server()
    bad, good = ("127.0.0.1", free_ports(1)[0]), (server.address, server.port)
    found = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", place) for place in (bad, good)]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: found)
    with pytest.raises(UnauthorisedError, match="is not known"):
        site.open(site.host("both"))


def test_small_packets_do_not_wait(site: Site) -> None:
    server = site.server()
    with dial.dial(server.address, server.port, 10.0) as sock:
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


def test_a_silent_port_is_given_up(site: Site) -> None:
    with port_that(None) as place:
        host = site.configure("alpha", place)
        gate = Gate(sleep=lambda _: pytest.fail("tried again"))
        with pytest.raises(UnreachableError, match=r"is no SSH server: it says nothing for 1 s"):
            site.open(host, connect_timeout=1.0, gate=gate)


def test_connect_timeout_of_ssh_config_wins(site: Site) -> None:
    with port_that(None) as place:
        host = site.configure("alpha", place, "ConnectTimeout 1")
        with pytest.raises(UnreachableError, match=r"for 1 s"):
            site.open(host)


def test_something_else_at_the_port_is_quoted(site: Site) -> None:
    with port_that(b"HTTP/1.1 400 Bad Request\r\n\r\n") as place:
        host = site.configure("alpha", place)
        with pytest.raises(UnreachableError, match=r"no SSH server: it says 'HTTP/1.1 400"):
            site.open(host)


@pytest.mark.parametrize("said", [b"SSH-2.0-x\r\n", b"SSH-2.0-x"])
def test_a_server_that_stops_in_the_middle_is_given_up(said: bytes, site: Site) -> None:
    with port_that(said, stays=True) as place:
        host = site.configure("alpha", place)
        gate = Gate(sleep=lambda _: pytest.fail("tried again"))
        with pytest.raises(UnreachableError, match=r"(not finished its greeting|nothing).* 1 s"):
            site.open(host, gate=gate, connect_timeout=1.0)


@pytest.mark.parametrize("said", [b"", b"Exceeded MaxStartups\r\n"])
def test_a_server_that_hangs_up_is_tried_again(said: bytes, site: Site) -> None:
    with port_that(said) as place:
        host = site.configure("alpha", place)
        pauses: list[float] = []
        with pytest.raises(UnreachableError, match="closed the connection before") as caught:
            site.open(host, gate=Gate(sleep=pauses.append))
        assert len(pauses) == 6
        assert "MaxStartups" in caught.value.fix


def test_another_version_of_ssh_is_told(site: Site) -> None:
    with port_that(b"SSH-1.5-old\r\n") as place:
        host = site.configure("alpha", place)
        with pytest.raises(UnreachableError, match="Incompatible version"):
            site.open(host)


def test_a_server_without_an_algorithm_in_common_is_told(site: Site) -> None:
    server = site.server("Ciphers chacha20-poly1305@openssh.com")
    with pytest.raises(UnreachableError, match="too old or too new"):
        site.open(site.configure("alpha", server))


# Many at once.


def test_many_connections_at_once_to_one_server(site: Site) -> None:
    server = site.server("MaxStartups 10:30:100")
    site.know(server)
    host, settings = site.configure("alpha", server), site.settings()
    with ThreadPoolExecutor(32) as threads:
        channels = list(threads.map(lambda _: open_channel(host, "cat", settings), range(32)))
    assert all(echoes(channel) for channel in channels)
    for channel in channels:
        channel.close()
    assert "MaxStartups" not in server.log


def test_dropped_connections_come_back(site: Site) -> None:
    server = site.server("MaxStartups 3:100:3")
    site.know(server)
    host = site.configure("alpha", server)
    # Without limits of our own, as with several operators at once.
    settings = site.settings(gate=Gate(handshakes=32, tries=100))
    with ThreadPoolExecutor(12) as threads:
        channels = list(threads.map(lambda _: open_channel(host, "cat", settings), range(12)))
    assert all(echoes(channel) for channel in channels)
    for channel in channels:
        channel.close()


# The channel.


def test_a_lot_goes_both_ways(site: Site) -> None:
    server = site.server()
    site.know(server)
    channel = site.open(site.configure("alpha", server))
    data = bytes(range(256)) * 40_000
    sender = threading.Thread(target=channel.send, args=(bytearray(data),))
    sender.start()
    received = bytearray()
    while len(received) < len(data):
        received += channel.receive(1 << 18)
    sender.join()
    assert received == data


def test_the_complaint_is_the_end_of_standard_error(site: Site) -> None:
    server = site.server()
    site.know(server)
    command = "head -c 9000000 /dev/zero | tr '\\0' x >&2; printf '\\033[31mno\\033[0m\\n' >&2"
    channel = site.open(site.configure("alpha", server), command)
    assert channel.receive(10) == b""
    assert channel.complaint.endswith("xxxno\n")
    assert len(channel.complaint) <= 4096


def test_closing_wakes_who_receives(site: Site) -> None:
    server = site.server()
    site.know(server)
    channel = site.open(site.configure("alpha", server))
    received: list[bytes] = []
    waiting = threading.Thread(target=lambda: received.append(channel.receive(10)))
    waiting.start()
    channel.close()
    channel.close()
    waiting.join(10)
    assert received == [b""]
    with pytest.raises(LostError, match="alpha"):
        channel.send(b"x")


@pytest.mark.parametrize("frozen", [False, True])
def test_closing_wakes_who_sends(frozen: bool, site: Site) -> None:
    server = site.server()
    site.know(server)
    channel = site.open(site.configure("alpha", server), "exec sleep 600")
    if frozen:
        server.pause()
    started = threading.Event()
    lost: list[CtlError] = []

    def send() -> None:
        try:
            started.set()
            channel.send(bytes(64 << 20))
        except LostError as error:
            lost.append(error)

    sending = threading.Thread(target=send)
    sending.start()
    assert started.wait(10)
    # So that it is in the middle.
    sending.join(0.3)
    channel.close()
    sending.join(10)
    assert not sending.is_alive()
    assert lost
    if frozen:
        server.unpause()


def test_a_server_that_dies_is_the_end(site: Site) -> None:
    server = site.server()
    site.know(server)
    channel = site.open(site.configure("alpha", server))
    assert echoes(channel)
    server.kill()
    assert channel.receive(10) == b""
    with pytest.raises(LostError):
        channel.send(bytes(1 << 20))


def test_nothing_is_left_running(site: Site) -> None:
    server = site.server()
    site.know(server)
    before = set(threading.enumerate())
    site.configure("jump", server)
    host = site.configure("alpha", server, "ProxyJump jump")
    for _ in range(2):
        site.open(host).close()
    with pytest.raises(UnauthorisedError):
        site.open(site.host("jump", user="nobody-here"))
    eventually(lambda: set(threading.enumerate()) <= before, "the end of all threads")


def test_a_host_that_never_starts_the_session_is_given_up() -> None:
    closed = threading.Event()

    def open_session() -> None:
        assert closed.wait(30)
        raise EOFError

    link = SimpleNamespace(transport=SimpleNamespace(open_session=open_session), close=closed.set)
    with pytest.raises(LostError, match=r"alpha ended the session .*: no answer in 0\.01 s"):
        SshChannel("alpha", link, "cat", 0.01)  # type: ignore[arg-type]


def test_a_host_that_starts_no_session_is_told(site: Site) -> None:
    server = site.server("MaxSessions 0")
    site.know(server)
    with pytest.raises(UnreachableError, match="alpha starts no session"):
        site.open(site.configure("alpha", server))


def test_nothing_reaches_the_terminal(site: Site) -> None:
    with port_that(b"nonsense\r\n") as place:
        site.configure("alpha", place)
        site.settings()
        config = f"Path({str(site.config)!r})"
        code = f"""
from pathlib import Path
from types import SimpleNamespace
from ctl.errors import CtlError
from ctl.inventory import Host
from ctl.transport import SshSettings, open_channel
try:
    open_channel(Host(name="alpha", ssh="alpha"), "cat", SshSettings(config={config}))
except CtlError:
    print("caught")
"""
        ran = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True
        )
    assert (ran.stdout, ran.stderr) == ("caught\n", "")


def test_settings_can_be_compared() -> None:
    assert SshSettings() == SshSettings()
    assert SshSettings() != SshSettings(host_keys="accept-new")
