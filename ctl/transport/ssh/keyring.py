"""The private keys of the operator, each read, and its passphrase asked for, once."""

import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from paramiko import PKey

_TRIES = 3


class LockedError(Exception):
    """An encrypted key could not be decrypted; its text says why."""


class Keyring:
    """Private keys by file."""

    def __init__(self) -> None:
        # Held while somebody is asked: the other hosts that want the key wait for the answer.
        self._asking = threading.Lock()
        self._keys: dict[Path, PKey | LockedError] = {}

    def load(self, path: Path, ask: Callable[[str], str | None] | None) -> "PKey":
        """Read a key and, beside it, its certificate if there is one.

        Args:
            path: Its file.
            ask: Asks for a passphrase; `None` if nobody can be asked.

        Raises:
            LockedError: If it is encrypted, and there was no right passphrase.
            OSError: If it cannot be read.
            ValueError: If it is no private key of a type that is known.
        """
        known = self._keys.get(path)
        if known is None:
            known = _parse(path, None)
        if known is None:
            with self._asking:
                known = self._keys.get(path)
                if known is None:
                    known = self._keys[path] = _decrypt(path, ask)
        self._keys[path] = known
        if isinstance(known, LockedError):
            raise known
        return known

    def is_encrypted(self, path: Path) -> bool:
        """Whether a passphrase has to be asked for; `False` for what is no key at all."""
        if path in self._keys:
            return False
        try:
            return _parse(path, None) is None
        except (OSError, ValueError):
            return False


def _decrypt(path: Path, ask: Callable[[str], str | None] | None) -> "PKey | LockedError":
    if ask is None:
        return LockedError("encrypted, and there is no terminal to ask for its passphrase")
    for attempt in range(_TRIES):
        again = "Wrong. " if attempt else ""
        try:
            passphrase = ask(f"{again}Passphrase of {path}: ")
        except EOFError:
            passphrase = None
        if not passphrase:
            return LockedError("encrypted, and no passphrase was given")
        try:
            key = _parse(path, passphrase)
        except ValueError:
            continue
        if key is not None:
            return key
    return LockedError(f"encrypted, and {_TRIES} passphrases were wrong")


def _parse(path: Path, passphrase: str | None) -> "PKey | None":
    """The key, or `None` if there has to be a passphrase."""
    from paramiko import PKey, SSHException

    try:
        return PKey.from_path(path, None if passphrase is None else passphrase.encode())  # type: ignore[arg-type]
    except TypeError:
        # What `cryptography` says for a key that is encrypted.
        return None
    except SSHException as error:
        raise ValueError(str(error)) from None
