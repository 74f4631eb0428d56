"""Connect to a host: through its bastions, each verified and logged in to in turn.

fabric makes the connections. What it would do by itself is replaced where its documentation says
that one may: it is given a configuration of its own, so that it reads no files; a connected
socket; a policy that verifies host keys; and, for `SSHClient.connect`, a factory of transports and
a strategy of logging in.
"""

import contextlib
import logging
import socket
from collections.abc import Callable, Iterator, Sequence

import fabric  # type: ignore[import-untyped]
import paramiko
from paramiko.packet import Packetizer
from paramiko.ssh_exception import IncompatiblePeer

from ctl.errors import CtlError, LostError, UnauthorisedError, UnreachableError
from ctl.transport.ssh.config import Hop
from ctl.transport.ssh.dial import dial
from ctl.transport.ssh.gate import DroppedError
from ctl.transport.ssh.hostkeys import HostKey
from ctl.transport.ssh.knownhosts import types_known
from ctl.transport.ssh.login import Login
from ctl.transport.ssh.settings import SshSettings
from ctl.transport.ssh.verify import Verify, verify_with

_LOGIN_SECONDS = 30.0
_KEEPALIVE_SECONDS = 10
_JOIN_SECONDS = 2.0
_PROHIBITED = 1
_PARTS = 3

# What it writes is about its own insides, and without a handler Python shows it on the terminal.
logging.getLogger("paramiko").addHandler(logging.NullHandler())


class Link:
    """An SSH connection to a host, and those that it goes through.

    Args:
        sock: To the first server.
    """

    def __init__(self, sock: socket.socket) -> None:
        self._socket = sock
        self.connections: list[fabric.Connection] = []

    @property
    def transport(self) -> paramiko.Transport:
        """That of the host itself."""
        transport: paramiko.Transport = self.connections[-1].transport
        return transport

    def close(self) -> None:
        """End all of it, at once; a second call does nothing."""
        # Everything else runs inside of this socket, so whoever waits anywhere wakes up. To say
        # goodbye first would mean to wait for a peer that may be gone.
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        for connection in reversed(self.connections):
            transport = connection.client.get_transport()
            # The socket of a host behind a bastion is a channel, which wants to say goodbye.
            with contextlib.suppress(OSError, EOFError, paramiko.SSHException):
                connection.client.close()
            if transport is not None and transport.ident is not None:
                transport.join(_JOIN_SECONDS)
        self._socket.close()


def connect(route: Sequence[Hop], settings: SshSettings, verify: Verify | None = None) -> Link:
    """Connect to a host, when it is its turn.

    Args:
        route: The bastions, and the host.
        settings: Limits, and what to do about unknown host keys.
        verify: What verifies host keys, if not the settings.

    Raises:
        UnreachableError: If one of them is not there.
        UnauthorisedError: If a host key or a login is refused.
        LostError: If a connection ends in the middle.
    """
    check = verify or verify_with(settings)
    first = route[0]
    return settings.gate.run((first.hostname, first.port), lambda: _connect(route, settings, check))


def _connect(route: Sequence[Hop], settings: SshSettings, verify: Verify) -> Link:
    first = route[0]
    with _named(first, route):
        link = Link(dial(first.hostname, first.port, _limit(first, settings)))
    try:
        for hop in route:
            with _named(hop, route):
                _advance(link, hop, settings, verify)
    except BaseException:
        link.close()
        raise
    return link


def _advance(link: Link, hop: Hop, settings: SshSettings, verify: Verify) -> None:
    """Go one server further."""
    limit = _limit(hop, settings)
    greetings: list[_Greeting] = []
    before = link.connections[-1] if link.connections else None
    connection = fabric.Connection(
        hop.hostname,
        user=hop.user,
        port=hop.port,
        gateway=before,
        config=fabric.Config(lazy=True, ssh_config=paramiko.SSHConfig()),
        # A new one for each, since fabric adds to it.
        connect_kwargs={
            **({} if before else {"sock": link._socket}),
            # Of the whole handshake; its parts have limits of their own, which say more.
            "timeout": _PARTS * limit,
            "banner_timeout": limit,
            "auth_timeout": _LOGIN_SECONDS,
            "channel_timeout": limit,
            "transport_factory": _factory(types_known(hop), limit, greetings),
            "auth_strategy": Login(hop, settings),
        },
    )
    connection.client.set_missing_host_key_policy(_Policy(hop, verify))
    link.connections.append(connection)
    try:
        connection.open()
    except paramiko.ChannelException as error:
        raise _not_relayed(error, hop) from None
    except (paramiko.SSHException, OSError, EOFError) as error:
        if isinstance(error, CtlError):
            raise
        raise _explain(error, hop, greetings, limit) from None
    connection.transport.set_keepalive(_KEEPALIVE_SECONDS)


def _limit(hop: Hop, settings: SshSettings) -> float:
    return hop.connect_timeout or settings.connect_timeout


class _Policy(paramiko.MissingHostKeyPolicy):
    """Asked about every key, since the client is given none that it would know."""

    def __init__(self, hop: Hop, verify: Verify) -> None:
        self._hop = hop
        self._verify = verify

    def missing_host_key(
        self,
        client: paramiko.SSHClient,  # noqa: ARG002 # paramiko's signature
        hostname: str,  # noqa: ARG002 # the same
        key: paramiko.PKey,
    ) -> None:
        self._verify(self._hop, HostKey(key.get_name(), key.asbytes()))


class _Greeting(Packetizer):
    """Keeps what a server says first, which tells one that is busy from what is none."""

    def __init__(self, sock: socket.socket) -> None:
        super().__init__(sock)
        self.lines: list[str] = []
        self.timed_out = False

    def readline(self, timeout: float) -> str:
        try:
            line = super().readline(timeout)
        except TimeoutError:
            self.timed_out = True
            raise
        self.lines.append(line)
        return line

    @property
    def is_busy(self) -> bool:
        """Whether it hung up as sshd does with too many at once."""
        said = [line for line in self.lines if not line.startswith(("SSH-", "Exceeded MaxStart"))]
        return not self.timed_out and not said


class _Transport(paramiko.Transport):
    """One whose thread keeps its troubles to itself; whoever waits for it is told."""

    def run(self) -> None:
        with contextlib.suppress(Exception):
            super().run()


def _factory(
    known: Sequence[str], limit: float, greetings: list[_Greeting]
) -> Callable[..., paramiko.Transport]:
    """What makes the transport of a server, with the types of key first that are known for it."""

    def greeting(sock: socket.socket) -> _Greeting:
        greetings.append(_Greeting(sock))
        return greetings[-1]

    def make(
        sock: socket.socket, disabled_algorithms: dict[str, list[str]] | None = None
    ) -> paramiko.Transport:
        transport = _Transport(
            sock,
            disabled_algorithms=disabled_algorithms,
            packetizer_class=greeting,  # type: ignore[arg-type]
        )
        transport.handshake_timeout = limit
        options = transport.get_security_options()
        names = {"ssh-rsa": ("rsa-sha2-512", "rsa-sha2-256")}
        wanted = [name for each in known for name in names.get(each, (each,))]
        usual = tuple(options.key_types)
        first = [name for name in wanted if name in usual]
        options.key_types = (*first, *(name for name in usual if name not in first))
        # Encrypted and authenticated in one go, it takes half the time of what paramiko prefers.
        options.ciphers = sorted(options.ciphers, key=lambda name: "-gcm@" not in name)
        return transport

    return make


@contextlib.contextmanager
def _named(hop: Hop, route: Sequence[Hop]) -> Iterator[None]:
    """Say of an error at a bastion that it is one."""
    try:
        yield
    except CtlError as error:
        if hop is not route[-1]:
            error.problem = f"bastion {hop.name}: {error.problem}"
        raise


def _not_relayed(error: paramiko.ChannelException, hop: Hop) -> CtlError:
    place = f"{hop.hostname} port {hop.port}"
    if error.code == _PROHIBITED:
        msg = f"the bastion before {hop.name} does not forward connections to {place}"
        return UnauthorisedError(msg, "allow it there: AllowTcpForwarding, PermitOpen")
    # Why, paramiko keeps to itself.
    msg = f"the bastion before {hop.name} cannot reach {place}"
    return UnreachableError(
        msg, "see whether its name is known there, the host is up, and sshd runs on this port"
    )


def _explain(error: Exception, hop: Hop, greetings: Sequence[_Greeting], limit: float) -> CtlError:
    place = f"{hop.hostname} port {hop.port}"
    if not greetings:
        msg = f"the bastion before {hop.name} got no answer from {place} in {limit:g} s"
        return UnreachableError(msg, "see whether the host is up, and what a firewall drops")
    greeting = greetings[0]
    if isinstance(error, IncompatiblePeer):
        return UnreachableError(f"the SSH server at {place} is too old or too new: {error}")
    if "No existing session" in str(error) or greeting.handshake_timed_out():
        msg = f"the SSH server at {place} has not finished its greeting in {limit:g} s"
        return UnreachableError(msg, "see whether the host is overloaded")
    if not any(line.startswith("SSH-") for line in greeting.lines):
        if greeting.is_busy:
            return DroppedError(
                f"{place} closed the connection before it said that it is an SSH server",
                "it may refuse this address, or have too many logins under way (MaxStartups)",
            )
        said = f"it says {greeting.lines[0][:60]!r}" if greeting.lines else "it says nothing"
        msg = f"{place} is no SSH server: {said}"
        if greeting.timed_out and not greeting.lines:
            msg += f" for {limit:g} s"
        return UnreachableError(msg, "check `ssh_port` in the inventory")
    if isinstance(error, EOFError | ConnectionResetError | BrokenPipeError):
        return DroppedError(
            f"{place} closed the connection before the login", "see the log of sshd there"
        )
    return LostError(f"the connection to {place} was lost: {str(error) or type(error).__name__}")
