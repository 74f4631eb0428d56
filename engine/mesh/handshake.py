"""How two processes convince each other that they belong together."""

from collections.abc import Callable
from dataclasses import replace

from engine.mesh.events import (
    MISMATCH,
    TRY_AGAIN,
    UNAUTHORISED,
    Established,
    Refusal,
    Rejected,
)
from engine.mesh.frames import PREAMBLE, FrameError, Kind, frame, json_frame, read_json
from engine.mesh.hello import Hello, HelloError, differences
from engine.mesh.readers import HandshakeReader


class Handshake:
    """The beginning of a connection, until both sides have accepted or one has rejected.

    The dialer sends its hello at once; the acceptor answers a hello with its own, so that a
    stranger who says nothing learns nothing. If there is a secret, the dialer proves first
    that it knows it, then the acceptor does. Then the acceptor judges the dialer's hello and
    accepts or rejects, and if it accepts, so does the dialer.

        dialer    HELLO         AUTH                  ACCEPT
        acceptor         HELLO        AUTH  ACCEPT

    Args:
        hello: What this process says.
        dialer: Whether this end has dialed.
        secret: Shared secret of the cluster.
        refuse: Says why a process that belongs here may not connect, if it may not.
        send: Takes bytes for the peer.
    """

    def __init__(
        self,
        hello: Hello,
        *,
        dialer: bool,
        secret: bytes | None,
        refuse: Callable[[Hello], Refusal | None],
        send: Callable[[bytes], None],
    ) -> None:
        self.hello = hello.for_connection("hmac" if secret else "none")
        self.peer: Hello | None = None
        self.certified: frozenset[int] | None = None
        """Process IDs that the peer's certificate names, if there is one."""
        self._dialer = dialer
        self._secret = secret
        self._refuse = refuse
        self._send = send
        self._reader = HandshakeReader()
        self._due = Kind.HELLO
        self._bodies: list[bytes] = []  # the dialer's hello, then the acceptor's
        if dialer:
            self._send_hello()

    @property
    def silent(self) -> bool:
        """Whether the peer has not sent a byte so far."""
        return self._reader.silent

    def get_buffer(self) -> memoryview:
        """Where the next bytes shall be received; never beyond the end of the handshake."""
        return self._reader.get_buffer()

    def received(self, count: int) -> Established | Rejected | None:
        """Take `count` bytes.

        Raises:
            FrameError: If the peer does not speak this protocol.
        """
        got = self._reader.received(count)
        if got is None:
            return None
        kind, body = got
        if kind is Kind.REJECT:
            return self._take_reject(_read_reject(body))
        if kind is not self._due:
            msg = f"it sent {kind.name} when {self._due.name} was due"
            raise FrameError(msg)
        if kind is Kind.HELLO:
            return self._take_hello(body)
        assert self.peer is not None
        if kind is Kind.AUTH:
            return self._take_auth(self.peer, body)
        if self._dialer and (rejected := self._judge(self.peer)):
            return rejected
        return Established(self.peer)

    def _take_reject(self, rejected: Rejected) -> Rejected:
        proved = self._secret is None or self._due is Kind.ACCEPT
        if proved or rejected.code == UNAUTHORISED:
            return rejected
        # Whoever has the port of a peer could end this process with a false difference.
        return replace(rejected, code=TRY_AGAIN)

    def _send_hello(self) -> None:
        body = self.hello.encode()
        self._bodies.append(body)
        self._send(PREAMBLE + frame(Kind.HELLO, body))

    def _take_hello(self, body: bytes) -> Rejected | None:
        try:
            peer = self.peer = Hello.decode(body)
        except HelloError as error:
            msg = f"its hello makes no sense: {error}"
            raise FrameError(msg) from None
        self._bodies.append(body)
        if not self._dialer:
            self.hello = replace(self.hello, purpose=peer.purpose, to=None)
            self._send_hello()
        if self.certified is not None and peer.process not in self.certified:
            ids = ", ".join(map(str, sorted(self.certified))) or "none"
            reason = f"process {peer.process} has a certificate for process {ids}"
            return self._reject(UNAUTHORISED, reason)
        if peer.auth != self.hello.auth:
            secretive, open_ = (self.hello, peer) if self._secret else (peer, self.hello)
            reason = f"process {secretive.process} has a secret, process {open_.process} has none"
            return self._reject(UNAUTHORISED, reason)
        if self._secret is None:
            return self._expect_accept(peer)
        if self._dialer:
            self._send(frame(Kind.AUTH, self._proof(self._secret, b"dial")))
        self._due = Kind.AUTH
        return None

    def _take_auth(self, peer: Hello, body: bytes) -> Rejected | None:
        from hmac import compare_digest

        assert self._secret is not None
        expected = self._proof(self._secret, b"accept" if self._dialer else b"dial")
        if not compare_digest(body, expected):
            low, high = sorted((self.hello.process, peer.process))
            reason = f"the secrets of process {low} and process {high} differ"
            return self._reject(UNAUTHORISED, reason)
        if not self._dialer:
            self._send(frame(Kind.AUTH, self._proof(self._secret, b"accept")))
        return self._expect_accept(peer)

    def _proof(self, secret: bytes, role: bytes) -> bytes:
        """What one side has to send to show that it knows the secret."""
        # Imported here as both would slow down the start of a process that has no secret.
        from hashlib import sha256
        from hmac import digest

        hellos = b"".join(sha256(body).digest() for body in self._bodies)
        return digest(secret, role + hellos, "sha256")

    def _expect_accept(self, peer: Hello) -> Rejected | None:
        # The acceptor knows better why it may refuse a dialer, so it has the first word.
        self._due = Kind.ACCEPT
        return None if self._dialer else self._judge(peer)

    def _judge(self, peer: Hello) -> Rejected | None:
        refusal = self._refuse(peer)
        if refusal is not None:
            return self._reject(refusal.code, refusal.reason)
        reasons = differences(self.hello, peer)
        if reasons:
            return self._reject(MISMATCH, *reasons)
        self._send(frame(Kind.ACCEPT))
        return None

    def _reject(self, code: int, *reasons: str) -> Rejected:
        self._send(json_frame(Kind.REJECT, {"code": code, "reasons": reasons}))
        return Rejected(code, reasons, by_peer=False)


def _read_reject(body: bytes) -> Rejected:
    match read_json(body):
        case {"code": int(code), "reasons": [*reasons]}:
            return Rejected(code, tuple(map(_one_line, reasons)), by_peer=True)
    msg = "its rejection makes no sense"
    raise FrameError(msg)


def _one_line(reason: object) -> str:
    """What a peer gave as a reason, fit for a log line."""
    text = str(reason)[:1000]
    return "".join(char if char.isprintable() else "?" for char in text)
