"""Whether a host key is known, by the rules of sshd(8), "SSH_KNOWN_HOSTS FILE FORMAT".

All of it is functions from texts to values. Keys are compared as bytes, so that a line with a type
of key that nobody here can use is in nobody's way.
"""

import base64
import binascii
import enum
import hashlib
import hmac
import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal, NamedTuple

from ctl.transport.ssh.config import with_port

NEGOTIABLE = (
    "ssh-ed25519",
    "ecdsa-sha2-nistp256",
    "ecdsa-sha2-nistp384",
    "ecdsa-sha2-nistp521",
    "ssh-rsa",
)
"""Types of host keys that paramiko can verify."""

Marker = Literal["", "@revoked", "@cert-authority"]
_MARKERS: dict[str, Marker] = {"@revoked": "@revoked", "@cert-authority": "@cert-authority"}


@dataclass(frozen=True)
class HostKey:
    """A public key: its type, and its bytes as they go over the wire."""

    type: str
    blob: bytes

    @property
    def fingerprint(self) -> str:
        """As `ssh-keygen -l` shows it."""
        digest = base64.b64encode(hashlib.sha256(self.blob).digest())
        return f"SHA256:{digest.decode().rstrip('=')}"

    def __str__(self) -> str:
        """Its type and fingerprint."""
        return f"{self.type} {self.fingerprint}"


@dataclass(frozen=True)
class Entry:
    """A line of a file of known hosts.

    Args:
        hosts: Its field of host names, patterns or a hash.
        key: Its key.
        marker: What it begins with, if with a marker.
        file: Where it is.
        line: Number of the line, from 1.
    """

    hosts: str
    key: HostKey
    marker: Marker = ""
    file: str = ""
    line: int = 0

    @property
    def place(self) -> str:
        """File and line."""
        return f"{self.file}:{self.line}"


class Verdict(enum.Enum):
    """What the known hosts say about a key."""

    KNOWN = "known"
    UNKNOWN = "new"
    CHANGED = "CHANGED"
    REVOKED = "REVOKED"
    BY_AUTHORITY = "certificate authority"


class Judgement(NamedTuple):
    """A verdict, and the line that it comes from; `None` if the key is unknown."""

    verdict: Verdict
    entry: Entry | None = None


def parse(text: str, file: str = "") -> tuple[tuple[Entry, ...], int]:
    """Read a file of known hosts.

    Args:
        text: What is in it.
        file: Its name, for `Entry.place`.

    Returns:
        Its entries, and how many lines are neither an entry nor blank nor a comment.
    """
    entries, skipped = [], 0
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        entry = _entry(line.split(), file, number)
        if entry is None:
            skipped += 1
        else:
            entries.append(entry)
    return tuple(entries), skipped


def judge(entries: Iterable[Entry], host: str, port: int, key: HostKey) -> Judgement:
    """Look a key up.

    A key of another type than the known ones counts as changed, unless none of the known ones
    could have been shown here: whoever sits in between could otherwise leave out the known type.

    Args:
        entries: Of all files.
        host: Name, or alias, of the host.
        port: Of the server; 22 for an alias.
        key: What the host has shown.
    """
    entries = tuple(entries)
    judgement = _judge(entries, with_port(host, port), key)
    if judgement.verdict is Verdict.UNKNOWN and port != 22:
        # As OpenSSH: a key that is known for the host is good at each of its ports.
        plain = _judge(entries, host, key)
        if plain.verdict in {Verdict.KNOWN, Verdict.REVOKED}:
            return plain
    return judgement


def known_types(entries: Iterable[Entry], host: str, port: int) -> tuple[str, ...]:
    """The types of the keys that are known for a host, for a server to show one of them."""
    names = {with_port(host, port), host}
    found = [
        entry.key.type
        for entry in entries
        if not entry.marker and any(matches(entry.hosts, name) for name in names)
    ]
    return tuple(dict.fromkeys(found))


def matches(hosts: str, name: str) -> bool:
    """Whether the field of a line speaks of a host.

    Args:
        hosts: Names and patterns with commas in between, or a hash.
        name: `host`, or `[host]:port`.

    >>> matches("*.example,!db.example", "web.example"), matches("*.example,!db*", "db.example")
    (True, False)
    """
    name = name.lower()
    if hosts.startswith("|1|"):
        return _matches_hash(hosts, name)
    found = False
    for pattern in hosts.lower().split(","):
        if pattern.startswith("!"):
            if _pattern(pattern[1:]).fullmatch(name):
                return False
        elif _pattern(pattern).fullmatch(name):
            found = True
    return found


def line_for(name: str, key: HostKey, salt: bytes | None = None) -> str:
    """A line for a file of known hosts, with its end.

    Args:
        name: `host`, or `[host]:port`.
        key: The key.
        salt: 20 random bytes if the name is to be hashed.
    """
    hosts = name.lower()
    if salt is not None:
        digest = hmac.digest(salt, hosts.encode("utf-8", "surrogateescape"), "sha1")
        hosts = f"|1|{base64.b64encode(salt).decode()}|{base64.b64encode(digest).decode()}"
    return f"{hosts} {key.type} {base64.b64encode(key.blob).decode()}\n"


def _judge(entries: tuple[Entry, ...], name: str, key: HostKey) -> Judgement:
    ours = [entry for entry in entries if matches(entry.hosts, name)]
    for entry in ours:
        if entry.marker == "@revoked" and entry.key == key:
            return Judgement(Verdict.REVOKED, entry)
    plain = [entry for entry in ours if not entry.marker]
    for entry in plain:
        if entry.key == key:
            return Judgement(Verdict.KNOWN, entry)
    # One of the same type says most about what has changed.
    for entry in sorted(plain, key=lambda entry: entry.key.type != key.type):
        if entry.key.type in NEGOTIABLE:
            return Judgement(Verdict.CHANGED, entry)
    for entry in ours:
        if entry.marker == "@cert-authority":
            return Judgement(Verdict.BY_AUTHORITY, entry)
    return Judgement(Verdict.UNKNOWN)


def _entry(words: list[str], file: str, number: int) -> Entry | None:
    marker: Marker = ""
    if words[0].startswith("@"):
        if words[0] not in _MARKERS:
            return None
        marker = _MARKERS[words[0]]
        words = words[1:]
    if len(words) < 3:
        return None
    hosts, kind, encoded = words[:3]
    try:
        blob = base64.b64decode(encoded, validate=True)
    except (binascii.Error, ValueError):
        return None
    size = int.from_bytes(blob[:4], "big")
    if blob[4 : 4 + size] != kind.encode("utf-8", "surrogateescape") or len(blob) <= 4 + size:
        return None
    return Entry(hosts, HostKey(kind, blob), marker, file, number)


def _matches_hash(hosts: str, name: str) -> bool:
    try:
        salt, digest = (base64.b64decode(part, validate=True) for part in hosts[3:].split("|"))
    except ValueError:
        return False
    found = hmac.digest(salt, name.encode("utf-8", "surrogateescape"), "sha1")
    return hmac.compare_digest(digest, found)


@lru_cache(maxsize=4096)
def _pattern(text: str) -> re.Pattern[str]:
    wild = {"*": ".*", "?": "."}
    return re.compile("".join(wild.get(each) or re.escape(each) for each in text), re.DOTALL)
