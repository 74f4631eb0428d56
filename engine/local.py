"""The processes of a cluster on this machine: how each is started, and how it has ended."""

import contextlib
import dataclasses
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from engine.errors import (
    ConfigurationError,
    InterruptedRunError,
    PeerLostError,
    PeerUnavailableError,
)
from engine.failure import Failure
from engine.options import OWN_VARIABLES, Options
from engine.relay import Pipe, Writer

_REPORT_LIMIT = 1 << 20


@dataclass(frozen=True)
class LocalCluster:
    """What to launch.

    Args:
        flow: The FLOW argument.
        processes: How many.
        workers: Worker threads in each process.
        flags: Further flags of `engine.run`, for every process.
        health: Folder for the health socket of each process, `<id>.sock`.
        prefixed: Whether each line of output says which process it is from, if there are
            several.
    """

    flow: str
    processes: int
    workers: int = 1
    flags: tuple[str, ...] = ()
    health: Path | None = None
    prefixed: bool = False

    @classmethod
    def of(cls, options: Options) -> "LocalCluster":
        """What the command line of `engine.run` asks for."""
        workers = options.workers_per_process or 1
        return cls(options.flow, options.processes or 1, workers, options.shared_flags)

    def command(self, process: int, addresses: Sequence[str]) -> list[str]:
        """The command of one process, but for the descriptors and the flow."""
        words = [sys.executable, "-P", "-m", "engine.run", f"-w{self.workers}", *self.flags]
        if addresses:
            words += ["-i", str(process), "-a", ";".join(addresses)]
        if self.health is not None:
            words += ["--health", str(self.health / f"{process}.sock")]
        return words


class _Report:
    """Collects what a process says of its first failure."""

    is_crowded = False

    def __init__(self) -> None:
        self._data = bytearray()

    def write(self, data: bytes) -> None:
        self._data += data[: _REPORT_LIMIT - len(self._data)]

    def end(self) -> None:
        pass

    @property
    def failure(self) -> Failure | None:
        try:
            return Failure.from_json(json.loads(self._data.partition(b"\n")[0]))
        except ValueError:
            return None


@dataclass
class Child:
    """A process of the cluster.

    Args:
        process: Its ID.
        address: Where it listens.
        popen: How it is waited for.
        pipes: Its stdout, stderr and report.
        report: What came through the last of them.
        code: How it ended, as `Popen.returncode` says.
        sent: The signals that we have sent it, which explain its end.
    """

    process: int
    address: str
    popen: "subprocess.Popen[bytes]"
    pipes: tuple[Pipe, ...]
    report: _Report
    code: int | None = None
    sent: set[int] = field(default_factory=set)

    @classmethod
    def of(
        cls,
        process: int,
        address: str,
        popen: "subprocess.Popen[bytes]",
        report_fd: int,
        writers: tuple[Writer, Writer],
    ) -> Self:
        """What has just been started."""
        report = _Report()
        pipes = [Pipe(report_fd, report)]
        for stream, writer in zip((popen.stdout, popen.stderr), writers, strict=True):
            assert stream is not None
            pipes.append(Pipe(os.dup(stream.fileno()), writer))
            stream.close()
        return cls(process, address, popen, tuple(pipes), report)

    @property
    def has_ended(self) -> bool:
        """Whether its exit code is known."""
        return self.code is not None

    def send(self, number: int) -> None:
        """Send it a signal, unless it has ended."""
        if not self.has_ended:
            self.sent.add(number)
            self.popen.send_signal(number)

    def kill_group(self) -> None:
        """Kill it and what it has started; it is not waited for yet, so its group is its own."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.popen.pid, signal.SIGKILL)

    def kill(self) -> None:
        """Kill it and what it has started, unless it has ended."""
        if not self.has_ended:
            self.sent.add(signal.SIGKILL)
            self.kill_group()

    def look(self) -> None:
        """See whether it has ended; what it leaves behind is killed."""
        how = os.WEXITED | os.WNOHANG | os.WNOWAIT
        if not self.has_ended and os.waitid(os.P_PID, self.popen.pid, how) is not None:
            self.kill_group()
            self.code = self.popen.wait()

    def drain(self) -> None:
        """Read the rest of what it wrote; nobody writes any more."""
        for pipe in self.pipes:
            while pipe.wants_more:
                if not pipe.read():
                    pipe.close()

    def unexplained(self) -> Failure | None:
        """Why it ended, if it has failed and did not say why."""
        if (
            self.code is None
            or self.code in (0, InterruptedRunError.exit_code)
            or -self.code in self.sent
        ):
            return None
        if self.code < 0:
            reason = f"killed by {_signal_name(-self.code)}"
        else:
            reason = f"ended with exit code {self.code} and did not say why"
        error = PeerLostError(self.process, self.address, f"pid {self.popen.pid} {reason}")
        code = self.code if self.code > 0 else error.exit_code
        return dataclasses.replace(
            Failure.of(error, process=self.process), exit_code=code, lost=None
        )


def start(
    cluster: LocalCluster,
    environ: Mapping[str, str],
    lifeline_fd: int,
    writers: Callable[[int], tuple[Writer, Writer]],
) -> Iterator[Child]:
    """Start the processes, one after the other.

    Args:
        cluster: What to start.
        environ: What they inherit, but for what is meant for this process alone.
        lifeline_fd: The end to read of a pipe; once the other is closed they die.
        writers: Gives, for the ID of a process, what takes its stdout and its stderr.

    Raises:
        PeerUnavailableError: If a process cannot be started.
        ConfigurationError: If the folder for health sockets cannot be made.
    """
    _make_folder(cluster.health)
    env = _environment(environ)
    listeners = []
    if cluster.processes > 1:
        listeners = [_listener() for _ in range(cluster.processes)]
        env["ENGINE_SECRET"] = os.urandom(32).hex()
    addresses = ["{}:{}".format(*listener.getsockname()) for listener in listeners]
    # A signal waits until a child has its handlers.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGINT, signal.SIGTERM))
    try:
        for process in range(cluster.processes):
            report_fd, their_report_fd = os.pipe()
            fds = {"parent": lifeline_fd, "report": their_report_fd}
            if listeners:
                fds["listen"] = listeners[process].fileno()
            words = cluster.command(process, addresses)
            words += [f"--{name}-fd={fd}" for name, fd in fds.items()]
            words += [*_log_format(words, env), "--", cluster.flow]
            try:
                popen = open_child(words, env, tuple(fds.values()))
            except OSError as error:
                os.close(report_fd)
                msg = f"process {process} cannot be started: {error.strerror}"
                raise PeerUnavailableError(msg) from None
            finally:
                os.close(their_report_fd)
            address = addresses[process] if addresses else "localhost"
            yield Child.of(process, address, popen, report_fd, writers(process))
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        for listener in listeners:
            listener.close()


def open_child(
    words: list[str],
    env: Mapping[str, str],
    fds: tuple[int, ...] = (),
    in_child: Callable[[], None] | None = None,
) -> "subprocess.Popen[bytes]":
    """Start a program whose output is relayed.

    Args:
        words: The program and its arguments.
        env: All of its environment.
        fds: Descriptors that it gets.
        in_child: Is called in the new process, before the program.

    Raises:
        OSError: If it cannot be started.
    """
    return subprocess.Popen(  # noqa: S603  # runs what the user has asked to run
        words,
        bufsize=0,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        pass_fds=fds,
        env=env,
        # Ctrl-C of a terminal is for the launcher alone.
        start_new_session=True,
        preexec_fn=in_child,  # noqa: PLW1509  # a launcher has no threads
    )


def _make_folder(folder: Path | None) -> None:
    if folder is None:
        return
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        msg = f"folder for health sockets {folder}: {error.strerror}"
        raise ConfigurationError(msg) from None


def _listener() -> socket.socket:
    listener = socket.create_server(("127.0.0.1", 0), backlog=1024)
    listener.setblocking(False)
    return listener


def _environment(environ: Mapping[str, str]) -> dict[str, str]:
    """What the processes inherit, and where they find the package we are part of."""
    env = {name: value for name, value in environ.items() if name not in OWN_VARIABLES}
    root = str(Path(__file__).resolve().parents[1])
    # Without `-P`, the first entry was chosen by how we were started.
    if root not in sys.path[0 if sys.flags.safe_path else 1 :]:
        env["PYTHONPATH"] = os.pathsep.join(filter(None, (env.get("PYTHONPATH"), root)))
    return env


def _log_format(words: Sequence[str], env: Mapping[str, str]) -> list[str]:
    """Logs go through a pipe; what the terminal behind it is, only we know."""
    chosen = any(word.startswith("--log-format") for word in words)
    if chosen or env.get("ENGINE_LOG_FORMAT", "auto") != "auto" or not os.isatty(2):
        return []
    return ["--log-format=text"]


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
