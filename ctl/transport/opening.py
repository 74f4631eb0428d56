"""Open a channel to a host, by whichever way leads there."""

from ctl.inventory.model import Host
from ctl.transport.channel import Channel
from ctl.transport.local import LocalChannel
from ctl.transport.ssh.settings import SshSettings


def open_channel(host: Host, command: str, settings: SshSettings) -> Channel:
    """Start a command on a host.

    Args:
        host: Where.
        command: For the login shell of the user, or `/bin/sh` on this machine. Nothing is quoted.
        settings: Of SSH.

    Raises:
        UnreachableError: If the host, or a bastion on the way, is not there.
        UnauthorisedError: If a host key or the login is refused.
        InventoryError: If the settings of `ssh` for the host make no sense, or cannot be followed.
        InstallationError: If the program `ssh` is missing.
    """
    if host.transport == "local":
        return LocalChannel(command)
    # It brings paramiko and cryptography, which take longer to load than anything else.
    from ctl.transport.ssh.channel import open_ssh

    return open_ssh(host, command, settings)
