"""Listen for peers, and only where that is safe."""

import errno
import logging
import select
import socket
import time
from dataclasses import replace

from engine.errors import ConfigurationError, PeerUnavailableError
from engine.mesh.dial import find
from engine.mesh.events import Rejected
from engine.mesh.hello import Hello
from engine.mesh.protocol import Connection
from engine.mesh.transport import Transport, TransportFactory, plain
from engine.settings import Address, ClusterSettings

_BACKLOG = 1024
_ASK_LIMIT = 5.0

_log = logging.getLogger("engine.mesh")


def listen(settings: ClusterSettings, hello: Hello) -> socket.socket:
    """Listen on the own address, or take the socket that the launcher has bound.

    If the port is taken, whoever listens there is asked who it is, so that both it and the
    error say so.

    Args:
        settings: Of this process.
        hello: What this process would say to its peers.

    Raises:
        ConfigurationError: If the mesh would be open beyond loopback without protection, or
            TLS files or the descriptor are no good.
        PeerUnavailableError: If the address cannot be listened on.
    """
    check_protection(settings)
    factory = transport_factory(settings)
    if settings.listen_fd is not None:
        return _adopt(settings.listen_fd)
    own = settings.addresses[settings.process_id]
    address = Address(settings.bind or own.host, own.port)
    try:
        return _bind(address)
    except (OSError, UnicodeError) as error:
        if isinstance(error, OSError) and error.errno == errno.EADDRINUSE:
            problem = _who_is_there(address, settings, hello, factory)
        elif isinstance(error, OSError) and error.errno == errno.EADDRNOTAVAIL:
            problem = "no interface of this host has that address; bind to one that it has"
        else:
            problem = str(getattr(error, "strerror", None) or error)
        msg = f"process {hello.process} cannot listen on {address}: {problem}"
        raise PeerUnavailableError(msg) from error


def check_protection(settings: ClusterSettings) -> None:
    """Refuse, or at least warn of, a mesh that others can reach and that TLS does not protect.

    Raises:
        ConfigurationError: If it is refused.
    """
    if settings.tls is not None:
        return
    bound = [Address(settings.bind, 0)] if settings.bind else []
    open_ = [address for address in (*settings.addresses, *bound) if not address.is_loopback]
    if not open_:
        return
    where = str(open_[0]) if open_[0].port else open_[0].host
    if not settings.insecure:
        msg = (
            f"{where} can be reached from other machines: give --tls-ca, --tls-cert and "
            "--tls-key, or --insecure if you trust everyone on that network"
        )
        raise ConfigurationError(msg)
    _log.warning(
        "the mesh is insecure: whoever can read or change traffic with %s can run code here "
        "(--insecure without TLS)",
        where,
    )


def transport_factory(settings: ClusterSettings) -> TransportFactory:
    """What makes transports, with TLS or without, of connected sockets.

    Raises:
        ConfigurationError: If TLS files cannot be used.
    """
    if settings.tls is None:
        return plain
    # Imported here as ssl would slow down the start of a process that has no use for it.
    from engine.mesh.tls import TlsFactory

    return TlsFactory(settings.tls)


def _adopt(descriptor: int) -> socket.socket:
    try:
        listener = socket.socket(fileno=descriptor)
        if not listener.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
            listener.listen(_BACKLOG)
    except OSError as error:
        msg = f"descriptor {descriptor} is no socket to listen on: {error.strerror}"
        raise ConfigurationError(msg) from error
    listener.set_inheritable(False)
    listener.setblocking(False)
    return listener


def _bind(address: Address) -> socket.socket:
    family, sockaddr = find(address, socket.AI_PASSIVE)[0]
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(sockaddr)
        listener.listen(_BACKLOG)
        listener.setblocking(False)
    except OSError:
        listener.close()
        raise
    return listener


def _who_is_there(
    address: Address, settings: ClusterSettings, hello: Hello, factory: TransportFactory
) -> str:
    """Say hello to whoever has the port, which it will log; tell who it is."""
    mine = replace(hello, purpose="probe", to=hello.process)
    connection = Connection(mine, dialer=True, secret=settings.secret, now=time.monotonic())
    try:
        sock = socket.create_connection(address, timeout=_ASK_LIMIT)
        transport = factory(sock, dialer=True)
    except OSError:
        return "the port is in use by another program"
    try:
        rejected = _converse(connection, transport)
    finally:
        transport.close()
    if connection.peer is None:
        if rejected is not None:
            return f"the port is in use, and who has it rejects this process: {rejected.reasons[0]}"
        return "the port is in use by another program"
    if connection.peer.process == hello.process:
        return f"process id {hello.process} is already running there: {connection.peer}"
    return f"the port is in use by {connection.peer}"


def _converse(connection: Connection, transport: Transport) -> Rejected | None:
    """Go through a handshake, for a limited time."""
    poller = select.poll()
    end = time.monotonic() + _ASK_LIMIT
    while (now := time.monotonic()) < end:
        events = transport.read(connection, now)
        transport.flush(connection)
        match events:
            case [Rejected() as rejected, *_]:
                return rejected
            case [_, *_]:
                return None
        writes = select.POLLOUT if transport.wants_write(connection) else 0
        poller.register(transport.fileno(), select.POLLIN | writes)
        poller.poll((end - now) * 1000)
    return None
