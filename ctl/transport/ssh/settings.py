"""What holds for all SSH connections of one command."""

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from ctl.transport.ssh.gate import Gate
from ctl.transport.ssh.keyring import Keyring

Ask = Callable[[str], str | None]

CONFIG_VARIABLE = "CTL_SSH_CONFIG"
"""Names a file that is read in place of `~/.ssh/config` and the system's."""


def _config() -> Path | None:
    path = os.environ.get(CONFIG_VARIABLE)
    return Path(path) if path else None


@dataclass(frozen=True)
class SshSettings:
    """What holds for all SSH connections of one command.

    Args:
        host_keys: Whether an unknown host key is refused, or stored and accepted. One that has
            changed, or is revoked, is always refused.
        connect_timeout: Seconds until a host that does not answer is given up; `ConnectTimeout` in
            the settings of `ssh` wins.
        ask: Shows a prompt and returns a passphrase, or `None` if there is no answer; `None`
            without a terminal.
        config: File to read in place of `~/.ssh/config` and the system's; the default is what
            the variable `CTL_SSH_CONFIG` says.
        trust_command: What accepts new host keys, for the texts of errors.
        gate: Limits how many connect at once.
        keyring: The private keys that have been read.
    """

    host_keys: Literal["strict", "accept-new"] = "strict"
    connect_timeout: float = 10.0
    ask: Ask | None = None
    config: Path | None = field(default_factory=_config)
    trust_command: str = "ctl trust INVENTORY"
    gate: Gate = field(default_factory=Gate, repr=False, compare=False)
    keyring: Keyring = field(default_factory=Keyring, repr=False, compare=False)
