"""A channel to a command on each host: over SSH, or on this machine."""

from ctl.transport.channel import Channel
from ctl.transport.opening import open_channel
from ctl.transport.ssh.settings import SshSettings

__all__ = ["Channel", "SshSettings", "open_channel"]
