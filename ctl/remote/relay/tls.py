"""TLS of a link: who may take part, and bytes in and out without a socket."""

import ssl
from pathlib import Path
from typing import Any

_PROCESS_URI = "hostmesh:process:"
_MORE = (ssl.SSLWantReadError, ssl.SSLWantWriteError)


def context(folder: Path, process: int, *, server: bool) -> ssl.SSLContext:
    """What a relay proves itself with, and judges others by.

    Args:
        folder: With `ca.pem`, and `<id>.pem` and `<id>.key` of the process.
        process: Its ID.
        server: Whether it is for links that others make.
    """
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER if server else ssl.PROTOCOL_TLS_CLIENT)
    made.minimum_version = ssl.TLSVersion.TLSv1_3
    # What a certificate vouches for is a process ID, not a host name.
    made.check_hostname = False
    made.verify_mode = ssl.CERT_REQUIRED
    if server:
        made.num_tickets = 0
    made.load_verify_locations(folder / "ca.pem")
    made.load_cert_chain(folder / f"{process}.pem", folder / f"{process}.key")
    return made


class Tls:
    """One side of a TLS connection; sockets are somebody else's business.

    Args:
        made: Its context.
        server: Whether the other side begins.
    """

    def __init__(self, made: ssl.SSLContext, *, server: bool) -> None:
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = made.wrap_bio(self._incoming, self._outgoing, server_side=server)

    def shake_hands(self) -> bool:
        """Go on with the handshake; tell whether it is done. Send what `outgoing` gives.

        Raises:
            ssl.SSLError: If it fails; a message that says why may be there to send.
        """
        try:
            self._tls.do_handshake()
        except _MORE:
            return False
        return True

    @property
    def peers(self) -> frozenset[int]:
        """The process IDs that the certificate of the other side names."""
        names: Any = (self._tls.getpeercert() or {}).get("subjectAltName", ())
        uris = [value for kind, value in names if kind == "URI" and value.startswith(_PROCESS_URI)]
        ids = [uri.removeprefix(_PROCESS_URI) for uri in uris]
        return frozenset(int(text) for text in ids if text.isascii() and text.isdigit())

    def feed(self, data: memoryview) -> None:
        """Take what came from the socket."""
        self._incoming.write(data)

    def read_into(self, buffer: memoryview) -> int:
        """Decrypt what has been fed, as far as it fits; 0 if that is nothing.

        Raises:
            ssl.SSLError: If it was tampered with.
        """
        size, limit, read = 0, len(buffer), self._tls.read
        try:
            # One record at a time is what OpenSSL gives; of the last one, a part may be left.
            while (not size or self._incoming.pending) and size < limit:
                count: Any = read(limit - size, buffer[size:])
                if not count:
                    break
                size += count
        except _MORE:
            pass
        return size

    def encrypt(self, data: memoryview | bytes) -> bytes:
        """What to send for these bytes."""
        view = memoryview(data)
        while view:
            view = view[self._tls.write(view) :]
        return self._outgoing.read()

    def outgoing(self) -> bytes:
        """What is to be sent without having been asked for: the handshake."""
        return self._outgoing.read()


def reason(error: ssl.SSLError) -> str:
    """What went wrong, for people."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is refused: {error.verify_message}"
    words = (error.reason or str(error)).lower().replace("_", " ")
    if words == "peer did not return a certificate":
        return "it has no certificate"
    return f"it does not speak TLS as it should: {words}"
