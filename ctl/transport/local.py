"""A channel to a command on this machine."""

import contextlib
import socket
import subprocess
import threading

from ctl.errors import LostError
from ctl.transport.tail import Tail


class LocalChannel:
    """A command that a shell of this machine runs, as sshd would on another one.

    It has a session of its own, so that Ctrl-C on our terminal does not reach it, and it goes on
    when the channel is closed.

    Args:
        command: For `/bin/sh -c`.
    """

    def __init__(self, command: str) -> None:
        # Not a pair of pipes: only a socket can be shut down under a thread that waits for it.
        self._socket, theirs = socket.socketpair()
        with theirs:
            process = subprocess.Popen(  # noqa: S603 # a constant of ours
                ["/bin/sh", "-c", command],
                stdin=theirs.fileno(),
                stdout=theirs.fileno(),
                stderr=subprocess.PIPE,
                start_new_session=True,
                bufsize=0,
            )
        assert process.stderr is not None
        self._stderr = process.stderr
        self._tail = Tail(self._read_stderr)
        self._ended = False
        self._sending = threading.Lock()
        self._receiving = threading.Lock()
        # Whoever started it has to reap it, however long it lives.
        threading.Thread(target=process.wait, name="reaper", daemon=True).start()

    def send(self, data: bytes | bytearray | memoryview) -> None:
        """Send all of it; see `Channel`."""
        try:
            with self._sending:
                self._socket.sendall(data)
        except OSError:
            msg = "the session on this machine has ended"
            raise LostError(msg) from None

    def receive(self, limit: int) -> bytes:
        """Wait for output; see `Channel`."""
        try:
            with self._receiving:
                data = self._socket.recv(limit)
        except OSError:
            data = b""
        self._ended = self._ended or not data
        return data

    def close(self) -> None:
        """End the connection; see `Channel`."""
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        # Its number must not go to another file while a thread is about to use it.
        with self._sending, self._receiving:
            self._socket.close()

    @property
    def complaint(self) -> str:
        """The end of its standard error; see `Channel`."""
        return self._tail.text(ended=self._ended)

    def _read_stderr(self, limit: int) -> bytes:
        data = self._stderr.read(limit)
        if not data:
            self._stderr.close()
        return data or b""
