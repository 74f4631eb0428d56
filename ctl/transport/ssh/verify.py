"""Refuse a server whose host key is not the known one."""

import shlex
from collections.abc import Callable

from ctl.errors import UnauthorisedError
from ctl.transport.ssh.config import Hop
from ctl.transport.ssh.hostkeys import HostKey, Judgement, Verdict
from ctl.transport.ssh.knownhosts import look_up, store
from ctl.transport.ssh.settings import SshSettings

Verify = Callable[[Hop, HostKey], None]
"""Raises if a server must not be talked to."""


def verify_with(settings: SshSettings) -> Verify:
    """What verifies host keys as a command's settings want it; it raises `UnauthorisedError`."""

    def verify(hop: Hop, key: HostKey) -> None:
        judgement = look_up(hop, key)
        if judgement.verdict is Verdict.KNOWN:
            return
        if judgement.verdict is Verdict.UNKNOWN and settings.host_keys == "accept-new":
            store(hop, key)
            return
        raise refusal(hop, key, judgement, settings.trust_command)

    return verify


def refusal(hop: Hop, key: HostKey, judgement: Judgement, trust: str) -> UnauthorisedError:
    """Why a key is refused, and what to do about it.

    Args:
        hop: Who has shown it.
        key: What was shown.
        judgement: What the known hosts say.
        trust: The command that accepts new keys.
    """
    entry = judgement.entry
    if entry is None:
        files = ", ".join(map(str, hop.user_known_hosts)) or "any file: UserKnownHostsFile is none"
        msg = f"the host key of {hop} is not known: {key} is not in {files}"
        return UnauthorisedError(msg, f"compare the fingerprint, and accept it with `{trust}`")
    if judgement.verdict is Verdict.REVOKED:
        msg = f"the host key of {hop} is revoked by {entry.place}: {key}"
        return UnauthorisedError(msg, "give the host a new key; this one is in wrong hands")
    if judgement.verdict is Verdict.BY_AUTHORITY:
        msg = (
            f"only a certificate authority ({entry.place}) speaks for {hop}, and host certificates "
            f"cannot be verified here; its plain key is {key}"
        )
        return UnauthorisedError(msg, f"compare the fingerprint, and accept it with `{trust}`")
    msg = (
        f"the host key of {hop} has changed: it is {key}, but {entry.place} has {entry.key}; "
        "somebody may be in between"
    )
    return UnauthorisedError(msg, f"only if the host was set up anew: {removal(hop, entry.file)}")


def removal(hop: Hop, file: str) -> str:
    """The command that removes the old key of a host.

    Args:
        hop: The host.
        file: File of known hosts.
    """
    return f"ssh-keygen -R {shlex.quote(hop.key_name)} -f {shlex.quote(file)}"
