"""The files of known hosts: read as they are, and only ever appended to."""

import os
import secrets
import threading
from collections.abc import Iterable
from pathlib import Path

from ctl.errors import CannotWriteError, UnauthorisedError
from ctl.transport.ssh.config import Hop
from ctl.transport.ssh.hostkeys import (
    Entry,
    HostKey,
    Judgement,
    Verdict,
    judge,
    known_types,
    line_for,
    parse,
)

_appending = threading.Lock()


def entries_for(hop: Hop) -> tuple[Entry, ...]:
    """All entries of the files that count for a server.

    Raises:
        UnauthorisedError: If one of them is there, but cannot be read: it may revoke a key.
    """
    return _load((*hop.user_known_hosts, *hop.global_known_hosts))


def look_up(hop: Hop, key: HostKey) -> Judgement:
    """What the known hosts say about a key.

    Args:
        hop: Who has shown it.
        key: What was shown.

    Raises:
        UnauthorisedError: If a file cannot be read.
    """
    return judge(entries_for(hop), *_name(hop), key)


def types_known(hop: Hop) -> tuple[str, ...]:
    """The types of key that are known for a server.

    Raises:
        UnauthorisedError: If a file cannot be read.
    """
    return known_types(entries_for(hop), *_name(hop))


def store(hop: Hop, key: HostKey) -> Path:
    """Append a key to the first file of known hosts, unless it is there by now.

    Args:
        hop: Whose it is.
        key: The key.

    Returns:
        The file.

    Raises:
        UnauthorisedError: If another key is known, or this one is revoked.
        CannotWriteError: If the file cannot be written.
    """
    if not hop.user_known_hosts:
        msg = f"there is no file for the host key of {hop}: UserKnownHostsFile is `none`"
        raise CannotWriteError(msg, "name one in ~/.ssh/config")
    file = hop.user_known_hosts[0]
    # Hosts of an inventory, or bastions on the way to them, may be the same server.
    with _appending:
        verdict = look_up(hop, key).verdict
        if verdict in {Verdict.UNKNOWN, Verdict.BY_AUTHORITY}:
            salt = secrets.token_bytes(20) if hop.hash_known_hosts else None
            _append(file, line_for(hop.key_name, key, salt))
        elif verdict is not Verdict.KNOWN:
            msg = f"the host key of {hop} is {verdict.value}: {key}"
            raise UnauthorisedError(msg)
    return file


def _name(hop: Hop) -> tuple[str, int]:
    return (hop.alias, 22) if hop.alias else (hop.hostname, hop.port)


def _load(files: Iterable[Path]) -> tuple[Entry, ...]:
    entries: list[Entry] = []
    for file in files:
        try:
            text = file.read_bytes().decode("utf-8", "surrogateescape")
        except (FileNotFoundError, NotADirectoryError):
            continue
        except OSError as error:
            msg = f"cannot read {file}, which may revoke host keys: {error.strerror}"
            raise UnauthorisedError(msg, "make it readable") from None
        entries += parse(text, str(file))[0]
    return tuple(entries)


def _append(file: Path, line: str) -> None:
    try:
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        handle = os.open(file, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            size = os.fstat(handle).st_size
            unfinished = size > 0 and os.pread(handle, 1, size - 1) != b"\n"
            data = ("\n" * unfinished + line).encode("utf-8", "surrogateescape")
            # In one piece, so that nobody else's line comes in between.
            os.write(handle, data)
        finally:
            os.close(handle)
    except OSError as error:
        msg = f"cannot store a host key in {file}: {error.strerror}"
        raise CannotWriteError(msg, "make it writable") from None
