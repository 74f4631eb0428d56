"""A channel to a command on a host, over SSH."""

import threading

import paramiko

from ctl.errors import LostError, UnreachableError
from ctl.inventory.model import Host
from ctl.transport.ssh.config import route
from ctl.transport.ssh.connect import Link, connect
from ctl.transport.ssh.settings import SshSettings
from ctl.transport.tail import Tail


class SshChannel:
    """The one session of a connection.

    Args:
        host: Name of the host.
        link: Connected and logged in to it.
        command: For the login shell of the user.
        seconds: Until a host that does not start it is given up.

    Raises:
        LostError: If the connection ends meanwhile.
        UnreachableError: If the host starts no session.
    """

    def __init__(self, host: str, link: Link, command: str, seconds: float) -> None:
        self._host = host
        self._link = link
        # paramiko waits for ever.
        limit = threading.Timer(seconds, link.close)
        limit.start()
        try:
            self._channel = link.transport.open_session()
            self._channel.exec_command(command)
        except paramiko.ChannelException as error:
            msg = f"{host} starts no session: {error.text or 'no reason given'}"
            raise UnreachableError(msg, "see MaxSessions and the log of sshd there") from None
        except (paramiko.SSHException, OSError, EOFError) as error:
            why = str(error) or f"no answer in {seconds:g} s"
            msg = f"{host} ended the session before it began: {why}"
            raise LostError(msg, "see the log of sshd there") from None
        finally:
            limit.cancel()
        self._tail = Tail(self._channel.recv_stderr)
        self._sending = threading.Lock()
        self._ended = False

    def send(self, data: bytes | bytearray | memoryview) -> None:
        """Send all of it; see `Channel`."""
        # Not `sendall`, which copies what is left each time.
        left = memoryview(data).cast("B")
        with self._sending:
            while left:
                try:
                    sent = self._channel.send(left)  # type: ignore[arg-type]
                except (OSError, EOFError, paramiko.SSHException):
                    sent = 0
                if not sent:
                    msg = f"the connection to {self._host} has ended"
                    raise LostError(msg)
                left = left[sent:]

    def receive(self, limit: int) -> bytes:
        """Wait for output; see `Channel`."""
        try:
            data = self._channel.recv(limit)
        except (OSError, EOFError):
            data = b""
        self._ended = self._ended or not data
        return data

    def close(self) -> None:
        """End the connection; see `Channel`."""
        self._link.close()

    @property
    def complaint(self) -> str:
        """The end of its standard error; see `Channel`."""
        return self._tail.text(ended=self._ended)


def open_ssh(host: Host, command: str, settings: SshSettings) -> SshChannel:
    """Start a command on a host; see `ctl.transport.open_channel`."""
    link = connect(route(host, settings.config), settings)
    try:
        return SshChannel(host.name, link, command, settings.connect_timeout)
    except BaseException:
        link.close()
        raise
