"""One sshd on a loopback address, run by whoever runs the tests, with a home of its own.

Its sessions are those of the same user, but their HOME is a folder of this sshd, and they begin
there. What they leave behind belongs to it and ends with it.
"""

import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Self

from tests.engine.running import eventually
from tests.fleet import loopback_init
from tests.fleet.keys import Key

# sshd takes the home from the list of users, whatever `SetEnv` says, so the way into another one
# is a command in front of each session's own. It leaves no trace: no process, no variable.
SESSION = """\
cd
if [ "${SSH_ORIGINAL_COMMAND+given}" ]; then
    command=$SSH_ORIGINAL_COMMAND
    unset SSH_ORIGINAL_COMMAND
    exec "$SHELL" -c "$command"
fi
exec "$SHELL" -l
"""


def program() -> Path | None:
    """The server, which is not on the path of most users."""
    found = shutil.which("sshd", path=f"{os.environ['PATH']}:/usr/sbin:/usr/local/sbin")
    return Path(found) if found else None


def unavailable() -> str | None:
    """Why there can be no sshd on loopback here, if so."""
    if sys.platform != "linux":
        return "no hosts on loopback: only Linux has all of 127.0.0.0/8"
    if program() is None:
        return "no hosts on loopback: no sshd (make system installs it)"
    return None


def greets(address: str, port: int) -> bool:
    """Whether an SSH server answers."""
    with suppress(OSError), socket.create_connection((address, port), 5) as connection:
        connection.settimeout(5)
        return connection.recv(4) == b"SSH-"
    return False


class Sshd:
    """An sshd that is started and ended as often as one likes; key, home and address stay.

    Args:
        folder: For its files; made if it is missing.
        address: Any address in 127.0.0.0/8.
        port: 0 takes a free one.
        authorized: Public keys that may log in, one line each.
        options: Lines of sshd_config, such as `MaxStartups 2`. Of an option that is given twice
            sshd takes the first one, so these replace those that are set here.
        host_key: Its own key; a new one by default.
    """

    def __init__(
        self,
        folder: Path,
        address: str = "127.0.0.2",
        port: int = 0,
        *,
        authorized: Sequence[str] = (),
        options: Sequence[str] = (),
        host_key: Key | None = None,
    ) -> None:
        self.folder = folder
        self.address = address
        self.port = port or _free_port(address)
        self.user = pwd.getpwuid(os.geteuid()).pw_name
        self.host_key = host_key or Key.new()
        self.home = folder / "home"
        self.home.mkdir(parents=True)
        self._init: subprocess.Popen[bytes] | None = None
        self._listener = 0
        private = folder / "host_key"
        private.touch(mode=0o600)
        private.write_text(self.host_key.private)
        self.authorize(*authorized)
        (folder / "session").write_text(SESSION)
        lines = [
            *options,
            f"ListenAddress {address}",
            f"Port {self.port}",
            f'HostKey "{private}"',
            f'AuthorizedKeysFile "{folder}/authorized_keys"',
            f'SetEnv "HOME={self.home}"',
            f'ForceCommand /bin/sh "{folder}/session"',
            *_sftp_server(),
            "PasswordAuthentication no",
            "KbdInteractiveAuthentication no",
            # Folders of tests may be below one that others write to.
            "StrictModes no",
            "PidFile none",
            "LogLevel VERBOSE",
        ]
        (folder / "sshd_config").write_text("\n".join([*lines, ""]))

    def authorize(self, *keys: str) -> None:
        """Let these public keys log in, and no others, from the next login on."""
        (self.folder / "authorized_keys").write_text("".join(f"{key}\n" for key in keys))

    @property
    def known_hosts_line(self) -> str:
        """Its line in a file of known hosts."""
        return known_hosts_line(self.address, self.port, self.host_key)

    @property
    def running(self) -> bool:
        """Whether it is switched on."""
        return self._init is not None

    @property
    def log(self) -> str:
        """What it has written so far, over all its starts."""
        try:
            return (self.folder / "sshd.log").read_text(errors="replace")
        except FileNotFoundError:
            return ""

    def start(self, *, wait: bool = True) -> None:
        """Run it, and wait for its greeting."""
        assert self._init is None, f"the sshd of {self.address} is running"
        server = program()
        assert server, unavailable()
        if os.geteuid() == 0:
            # The system's own service makes it, but need not run.
            Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
        words = [str(server), "-D", "-e", "-f", str(self.folder / "sshd_config")]
        with (self.folder / "sshd.log").open("ab") as log:
            self._init = subprocess.Popen(
                [sys.executable, "-I", "-S", loopback_init.__file__, *words],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                # Ctrl-C is for the tests; they end it.
                start_new_session=True,
            )
        assert self._init.stdout
        self._listener = int(self._init.stdout.readline())
        if wait:
            try:
                eventually(self._is_up, f"the greeting of sshd on {self.address}:{self.port}")
            except AssertionError as error:
                error.add_note(self.log)
                self.kill()
                raise

    def stop(self) -> None:
        """End the server alone; sessions and what they have started go on."""
        os.kill(self._listener, signal.SIGTERM)
        eventually(lambda: not greets(self.address, self.port), "the end of sshd")

    def restart(self) -> None:
        """End its sessions and have it execute itself anew; what they have started goes on."""
        sessions = [pid for pid, words in self._descendants() if words[0].startswith("sshd")]
        for pid in sessions:
            if pid != self._listener:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        os.kill(self._listener, signal.SIGHUP)
        eventually(self._is_up, f"the greeting of sshd on {self.address}:{self.port}")

    def kill(self) -> None:
        """End it, its sessions and all that these have left behind, at once."""
        if self._init is None:
            return
        for pipe in (self._init.stdin, self._init.stdout):
            assert pipe
            pipe.close()
        self._init.wait(30)
        self._init = None

    def pause(self) -> None:
        """Freeze all that runs; the kernel still accepts connections for it."""
        self._signal(signal.SIGSTOP)

    def unpause(self) -> None:
        """End a pause."""
        self._signal(signal.SIGCONT)

    def processes(self) -> list[tuple[int, list[str]]]:
        """Process ids and command lines of all that runs, but for sshd's."""
        hidden = (str(program()), "sshd:", "sshd-session:", "sshd-auth:")
        return [
            (pid, words) for pid, words in self._descendants() if not words[0].startswith(hidden)
        ]

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    def _is_up(self) -> bool:
        assert Path(f"/proc/{self._listener}").exists(), "sshd has ended"
        return greets(self.address, self.port)

    def _descendants(self) -> list[tuple[int, list[str]]]:
        assert self._init, f"the sshd of {self.address} is switched off"
        found = []
        for pid in loopback_init.descendants(self._init.pid):
            with suppress(OSError):
                words = Path(f"/proc/{pid}/cmdline").read_bytes().rstrip(b"\0").split(b"\0")
                if words != [b""]:
                    found.append((pid, [os.fsdecode(word) for word in words]))
        return found

    def _signal(self, number: signal.Signals) -> None:
        for pid, _ in self._descendants():
            with suppress(ProcessLookupError):
                os.kill(pid, number)


def known_hosts_line(address: str, port: int, key: Key) -> str:
    """The line of a host in a file of known hosts, with its end."""
    return f"{address if port == 22 else f'[{address}]:{port}'} {key.public}\n"


def _free_port(address: str) -> int:
    with socket.create_server((address, 0)) as taken:
        port: int = taken.getsockname()[1]
        return port


def _sftp_server() -> list[str]:
    folders = ("/usr/lib/openssh", "/usr/libexec/openssh", "/usr/lib/ssh", "/usr/libexec")
    found = shutil.which("sftp-server", path=os.pathsep.join(folders))
    return [f"Subsystem sftp {found}"] if found else []
