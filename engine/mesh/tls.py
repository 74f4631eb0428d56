"""Mutual TLS for the mesh; imported only where it is used, as `ssl` is slow to import."""

import socket
import ssl
from typing import Any

from engine.errors import ConfigurationError
from engine.mesh.events import UNAUTHORISED, Closed, Event, ProtocolError, Rejected
from engine.mesh.protocol import Connection
from engine.mesh.sending import Buffer
from engine.mesh.transport import READ_AT_ONCE, Transport, broken_because
from engine.settings import TlsFiles

_PROCESS_URI = "hostmesh:process:"
_WRITE_AT_ONCE = 1 << 18
_TRY_LATER = (ssl.SSLWantReadError, ssl.SSLWantWriteError)


class TlsFactory:
    """Makes transports with TLS 1.3, each side's certificate verified by the other.

    Args:
        files: Of this process.

    Raises:
        ConfigurationError: If a file cannot be used.
    """

    def __init__(self, files: TlsFiles) -> None:
        self._client = _context(files, ssl.PROTOCOL_TLS_CLIENT)
        self._server = _context(files, ssl.PROTOCOL_TLS_SERVER)

    def __call__(self, sock: socket.socket, *, dialer: bool) -> Transport:
        """A transport over a connected socket.

        Raises:
            OSError: If it is not connected any more.
        """
        context = self._client if dialer else self._server
        sock.setblocking(False)
        return TlsTransport(
            context.wrap_socket(sock, server_side=not dialer, do_handshake_on_connect=False)
        )


class TlsTransport(Transport):
    """A connected TCP socket with TLS.

    Args:
        sock: The socket, whose TLS handshake is still to be done.
    """

    def __init__(self, sock: ssl.SSLSocket) -> None:
        super().__init__(sock)
        self._tls = sock
        self._ready = False
        self._handshake_wants_write = False
        self._chunk: Buffer = b""  # OpenSSL wants an interrupted write repeated as it was

    def wants_write(self, connection: Connection) -> bool:
        """Whether to wait until the socket is writable, and flush then."""
        return super().wants_write(connection) if self._ready else self._handshake_wants_write

    def read(self, connection: Connection, now: float) -> list[Event]:
        """Take what has arrived, without waiting; a refused certificate gives `Rejected`."""
        try:
            self._shake_hands(connection)
        except OSError as error:
            return self._failed(connection, error)
        return self._read(connection, now) if self._ready else []

    def _read(self, connection: Connection, now: float) -> list[Event]:
        events: list[Event] = []
        total = 0
        in_handshake = not connection.established
        # No selector knows of bytes that are decrypted already.
        while total < READ_AT_ONCE or self._tls.pending():
            try:
                count = self._tls.recv_into(connection.get_buffer())
            except _TRY_LATER:
                if self._broken:
                    events += connection.closed(self._broken)
                break
            except OSError as error:
                events += self._failed(connection, error)
                break
            if not count:
                events += connection.closed()
                break
            events += connection.received(count, now)
            total += count
            if in_handshake and events:
                break
        return events

    def flush(self, connection: Connection) -> bool:
        """Send what can be sent without waiting; nothing before `read` has shaken hands."""
        if not self._ready:
            return False
        try:
            while connection.pending:
                self._chunk = self._chunk or _join(connection.to_send())
                count = self._tls.send(self._chunk)
                connection.sent(count)
                self._chunk = memoryview(self._chunk)[count:]
        except _TRY_LATER:
            return False
        except OSError as error:
            self._broken = broken_because(error)
        return not connection.pending

    def _shake_hands(self, connection: Connection) -> None:
        """Go on with the TLS handshake; at its end tell whom the certificate names."""
        if self._ready:
            return
        self._handshake_wants_write = False
        try:
            self._tls.do_handshake()
        except ssl.SSLWantReadError:
            return
        except ssl.SSLWantWriteError:
            self._handshake_wants_write = True
            return
        self._ready = True
        connection.certify(_process_ids(self._tls))

    def _failed(self, connection: Connection, error: OSError) -> list[Event]:
        """What to report when TLS or the connection below it fails."""
        if not isinstance(error, ssl.SSLError) or isinstance(error, ssl.SSLEOFError):
            if self._ready:
                return connection.closed(broken_because(error))
            connection.closed()
            return [Closed("connection closed during the TLS handshake; does the peer use TLS?")]
        connection.closed()
        words = (error.reason or str(error)).lower().replace("_", " ")
        if isinstance(error, ssl.SSLCertVerificationError):
            reason = f"its certificate is refused here: {error.verify_message}"
            return [Rejected(UNAUTHORISED, (reason,), by_peer=False)]
        if error.reason == "PEER_DID_NOT_RETURN_A_CERTIFICATE":
            return [Rejected(UNAUTHORISED, ("it has no certificate",), by_peer=False)]
        if "ALERT" in (error.reason or ""):
            return [Rejected(UNAUTHORISED, (f"it refuses TLS: {words}",), by_peer=True)]
        return [ProtocolError(f"it does not speak TLS as it should: {words}")]


def _context(files: TlsFiles, protocol: int) -> ssl.SSLContext:
    context = ssl.SSLContext(protocol)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    # What a certificate vouches for is a process ID, not a host name.
    context.check_hostname = False
    context.verify_mode = ssl.CERT_REQUIRED
    if protocol == ssl.PROTOCOL_TLS_SERVER:
        context.num_tickets = 0
    for path in (files.ca, files.cert, files.key):
        try:
            path.read_bytes()
        except OSError as error:
            msg = f"TLS file {path} cannot be read: {error.strerror}"
            raise ConfigurationError(msg) from error
    try:
        context.load_verify_locations(files.ca)
        context.load_cert_chain(files.cert, files.key)
    except ssl.SSLError as error:
        msg = f"TLS files {files.ca}, {files.cert} and {files.key} cannot be used: {error}"
        raise ConfigurationError(msg) from error
    return context


def _process_ids(sock: ssl.SSLSocket) -> frozenset[int]:
    """The process IDs that the peer's certificate names."""
    names: Any = (sock.getpeercert() or {}).get("subjectAltName", ())
    uris = (value for kind, value in names if kind == "URI")
    ids = (uri.removeprefix(_PROCESS_URI) for uri in uris if uri.startswith(_PROCESS_URI))
    return frozenset(int(text) for text in ids if text.isascii() and text.isdigit())


def _join(buffers: list[Buffer]) -> Buffer:
    """The beginning of some buffers, as one."""
    parts = []
    room = _WRITE_AT_ONCE
    for buffer in buffers:
        parts.append(memoryview(buffer)[:room])
        room -= len(parts[-1])
        if not room:
            break
    return parts[0] if len(parts) == 1 else b"".join(parts)
