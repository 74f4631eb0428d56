"""Move bytes between a connection and a non-blocking socket."""

import socket
from contextlib import suppress
from typing import Protocol

from engine.mesh.protocol import Connection, Event

READ_AT_ONCE = 1 << 20
"""Bytes after which `read` lets others have their turn."""


class Transport:
    """A connected TCP socket; `engine.mesh.tls.TlsTransport` is one with TLS.

    Args:
        sock: The socket, which is the transport's from now on.
    """

    def __init__(self, sock: socket.socket) -> None:
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._sock = sock
        self._broken = ""

    def fileno(self) -> int:
        """Descriptor to wait on."""
        return self._sock.fileno()

    def wants_write(self, connection: Connection) -> bool:
        """Whether to wait until the socket is writable, and flush then."""
        return connection.pending > 0 and not self._broken

    def read(self, connection: Connection, now: float) -> list[Event]:
        """Take what has arrived, without waiting.

        If a lot has arrived only a part of it, and the socket stays readable.

        Returns:
            What the connection makes of it; `Closed` if the peer is gone.
        """
        events: list[Event] = []
        total = 0
        in_handshake = not connection.established
        while total < READ_AT_ONCE:
            buffer = connection.get_buffer()
            try:
                count = self._sock.recv_into(buffer)
            except BlockingIOError:
                if self._broken:
                    events += connection.closed(self._broken)
                break
            except OSError as error:
                events += connection.closed(broken_because(error))
                break
            if not count:
                events += connection.closed()
                break
            events += connection.received(count, now)
            total += count
            if count < len(buffer) or (in_handshake and events):
                # What comes after a handshake is for whoever owns the connection then.
                break
        return events

    def flush(self, connection: Connection) -> bool:
        """Send what can be sent without waiting.

        A broken connection is no error here; `read` reports it.

        Returns:
            Whether everything has been sent.
        """
        while connection.pending:
            try:
                count = self._sock.sendmsg(connection.to_send())
            except BlockingIOError:
                return False
            except OSError as error:
                self._broken = broken_because(error)
                return False
            connection.sent(count)
        return True

    def end(self) -> None:
        """Tell the peer that nothing more will be sent."""
        with suppress(OSError):
            self._sock.shutdown(socket.SHUT_WR)

    def drain(self) -> bool:
        """Throw away what has arrived, so that closing does not cut off what was sent.

        Returns:
            Whether the peer has closed the connection, too.
        """
        try:
            return not self._sock.recv_into(bytearray(1 << 16))
        except BlockingIOError:
            return False
        except OSError:
            return True

    def close(self) -> None:
        """Close the socket."""
        self._sock.close()


class TransportFactory(Protocol):
    """Makes transports of connected sockets."""

    def __call__(self, sock: socket.socket, *, dialer: bool) -> Transport:
        """A transport over a connected socket.

        Raises:
            OSError: If it is not connected any more.
        """


def plain(sock: socket.socket, *, dialer: bool) -> Transport:  # noqa: ARG001  # TLS needs it
    """A transport without TLS."""
    return Transport(sock)


def broken_because(error: OSError) -> str:
    """What to say of a connection that the system has broken."""
    return f"connection closed ({error.strerror or error})"
