"""Log in with keys, in the order in which OpenSSH tries them; never with a password."""

import contextlib
import socket
from collections.abc import Iterator
from pathlib import Path

import paramiko
from paramiko.agent import AgentKey, AgentSSH
from paramiko.auth_strategy import AuthSource, AuthStrategy, InMemoryPrivateKey, SourceResult

from ctl.errors import CtlError, LostError, UnauthorisedError, UnreachableError
from ctl.transport.ssh.config import Hop
from ctl.transport.ssh.hostkeys import HostKey
from ctl.transport.ssh.keyring import LockedError
from ctl.transport.ssh.settings import SshSettings

_AGENT_SECONDS = 10.0
_FEW_TRIES = 2


class Login(AuthStrategy):
    """One login at one server.

    Args:
        hop: The server.
        settings: Whom to ask for passphrases, and the keys that have been read.
    """

    def __init__(self, hop: Hop, settings: SshSettings) -> None:
        super().__init__(ssh_config=paramiko.SSHConfig())
        self._hop = hop
        self._settings = settings
        self._tried: list[str] = []
        self._locked: dict[Path, str] = {}
        self._unreadable: list[str] = []
        self._agent: _Agent | None = None
        self._transport: paramiko.Transport | None = None

    def authenticate(self, transport: paramiko.Transport) -> list[SourceResult]:
        """Log in.

        Raises:
            UnauthorisedError: If the server takes none of the keys, or wants more than a key.
            LostError: If the connection ends meanwhile.
        """
        self._transport = transport
        try:
            results = super().authenticate(transport)
        except paramiko.AuthenticationException as error:
            raise self._refused(error) from None
        finally:
            if self._agent:
                self._agent.close()
        if not transport.is_authenticated():
            msg = f"{self._where} takes the key, but wants more: {results[-1].result}"
            raise UnauthorisedError(msg, "let a key be enough for this user (sshd_config)")
        return results

    def get_sources(self) -> Iterator[AuthSource]:
        """The keys: of the agent, then of files, those without a passphrase first."""
        offered = set()
        for key in self._agent_keys():
            offered.add(key.asbytes())
            name = f"{HostKey(key.get_name(), key.asbytes()).fingerprint} of the agent"
            yield from self._source(key, f"{key.comment} {name}".strip())
        keyring, files = self._settings.keyring, self._hop.identities
        for path in sorted(files, key=keyring.is_encrypted):
            # A server lets us try six or so, and nobody is to be asked in vain.
            if self._transport is None or not self._transport.is_active():
                return
            try:
                if _public(path) not in offered:
                    loaded = keyring.load(path, self._settings.ask)
                    if loaded.asbytes() not in offered:
                        yield from self._source(loaded, str(path))
            except FileNotFoundError:
                pass
            except LockedError as error:
                self._locked[path] = str(error)
            except CtlError:
                raise
            except (OSError, ValueError) as error:
                self._unreadable.append(f"{path}: {error}")

    def _source(self, key: paramiko.PKey, name: str) -> Iterator[AuthSource]:
        if self._transport is not None and self._transport.is_active():
            self._tried.append(name)
            yield InMemoryPrivateKey(self._hop.user, key)

    def _agent_keys(self) -> list[AgentKey]:
        if self._hop.agent is None:
            return []
        try:
            self._agent = _Agent(self._hop.agent)
        except (OSError, paramiko.SSHException, EOFError) as error:
            self._unreadable.append(f"the agent at {self._hop.agent}: {error}")
            return []
        named = {_public(path) for path in self._hop.identities}
        keys = sorted(self._agent.get_keys(), key=lambda key: key.asbytes() not in named)
        if self._hop.identities_only:
            return [key for key in keys if key.asbytes() in named]
        return keys

    @property
    def _where(self) -> str:
        return f"{self._hop.user}@{self._hop.hostname}"

    def _refused(self, error: paramiko.AuthenticationException) -> CtlError:
        results = [each.result for each in getattr(error, "result", [])]
        for result in results:
            if isinstance(result, paramiko.BadAuthenticationType):
                msg = f"{self._where} takes no keys, but {', '.join(result.allowed_types)}"
                return UnauthorisedError(msg, "allow PubkeyAuthentication for this user there")
        if results and str(results[-1]) == "Authentication timeout.":
            msg = f"{self._where} has not answered the login"
            return UnreachableError(msg, "see whether the host is overloaded")
        closed = self._transport is not None and not self._transport.is_active()
        if closed and len(self._tried) < _FEW_TRIES:
            msg = f"{self._where} closed the connection during the login"
            return LostError(msg, "see the log of sshd there")
        notes = [f"{path} is {why}" for path, why in self._locked.items()] + self._unreadable
        if not self._tried:
            if self._locked:
                return UnauthorisedError(f"the key {notes[0]}", self._unlocking)
            files = ", ".join(map(str, self._hop.identities)) or "no file"
            notes.insert(0, f"none of {files} is there, and no agent has one")
            msg = f"there is no key to log in with as {self._where}: {'; '.join(notes)}"
            return UnauthorisedError(
                msg, f"make one with `ssh-keygen`, and `ssh-copy-id` it to {self._where}"
            )
        notes.insert(0, f"tried {', '.join(self._tried)}")
        msg = f"{self._where} refuses the login; {'; '.join(notes)}"
        if closed:
            fix = "name one in ~/.ssh/config: IdentityFile and IdentitiesOnly yes"
            return UnauthorisedError(f"{msg}; it takes no more tries than that", fix)
        if self._locked:
            return UnauthorisedError(msg, self._unlocking)
        return UnauthorisedError(
            msg, f"check `user` in the inventory, or `ssh-copy-id` a key to {self._where}"
        )

    @property
    def _unlocking(self) -> str:
        return f"hand it to an agent: ssh-add {' '.join(map(str, self._locked))}"


class _Agent(AgentSSH):
    """The agent at a socket; paramiko's own knows no other than that of the environment."""

    def __init__(self, path: str) -> None:
        super().__init__()
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            sock.settimeout(_AGENT_SECONDS)
            sock.connect(path)
            self._connect(sock)  # type: ignore[attr-defined]
            # It may ask its user before it signs.
            sock.settimeout(None)
        except BaseException:
            sock.close()
            raise

    def close(self) -> None:
        """End the connection."""
        self._close()  # type: ignore[attr-defined]


def _public(path: Path) -> bytes | None:
    """The public key beside a private one, or in the file itself, if there is one."""
    for file in (path.with_name(f"{path.name}.pub"), path):
        with contextlib.suppress(OSError, ValueError, IndexError):
            line = file.read_text(encoding="ascii").split()
            return paramiko.pkey.PublicBlob.from_string(" ".join(line[:2])).key_blob
    return None
