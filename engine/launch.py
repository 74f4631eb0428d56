"""Run a cluster of processes on this machine, from their start to the last one's end.

One loop relays output, signals and ends. Children end before the launcher does, and die with
it if it is killed.
"""

import contextlib
import os
import select
import signal
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

from engine.errors import InterruptedRunError
from engine.failure import Failure, first
from engine.lifeline import Guard
from engine.local import Child, LocalCluster, start
from engine.relay import Lines, Output, Writer
from engine.report import describe

_INTERRUPTED = InterruptedRunError.exit_code
_CANNOT_WRITE = 73

_PATIENCE_AFTER_FAILURE = (1.0, 5.0)
_PATIENCE_AFTER_STOP = (1.0, 60.0)
_PATIENCE_AFTER_END = (5.0, 60.0)
"""Seconds from the end of the first process until the others get SIGTERM, and from then
until they are killed; those that end in order may have much to write."""

_FEW_BYTES = 1 << 14
_NAP_MILLISECONDS = 2
"""Who writes a line at a time would else wake us for each; what comes meanwhile is one read."""

_COLOURS = (36, 33, 32, 35, 34)


Starter = Callable[
    [LocalCluster, Mapping[str, str], int, Callable[[int], tuple[Writer, Writer]]], Iterator[Child]
]
"""Starts the processes of a cluster, as `engine.local.start` does."""


def launch(cluster: LocalCluster, starter: Starter = start) -> int:
    """Run a local cluster and give its exit code; call it from the main thread.

    Lines of the processes go to stdout and stderr, and the first failure, last, to stderr.
    SIGINT, SIGTERM and SIGHUP stop the cluster in order, and the second of them at once.

    Raises:
        PeerUnavailableError: If a process cannot be started.
        ConfigurationError: If the folder for health sockets cannot be made.
    """
    _fill_standard_fds()
    with _signals() as wakeup_fd:
        launcher = _Launcher(cluster, wakeup_fd, starter)
        try:
            launcher.start()
            return launcher.relay()
        finally:
            launcher.kill()


@dataclass
class _Launcher:
    """The one loop that relays output, signals and ends.

    Args:
        cluster: What to launch.
        wakeup_fd: Reads the numbers of the signals that came.
        starter: Starts its processes.
    """

    cluster: LocalCluster
    wakeup_fd: int
    starter: Starter = start
    children: list[Child] = field(default_factory=list)
    stop: int | None = None
    killed: bool = False
    first_end: float | None = None
    told_to_end: float | None = None

    def __post_init__(self) -> None:
        self.stdout, self.stderr = Output(1), Output(2)
        self._lifeline: int | None = None
        self._guard: Guard | None = None
        self._wakeup = select.poll()
        self._wakeup.register(self.wakeup_fd, select.POLLIN)

    def start(self) -> None:
        self._guard = Guard()
        parent_fd, self._lifeline = os.pipe()
        try:
            for child in self.starter(self.cluster, os.environ, parent_fd, self._writers):
                self.children.append(child)
                self._guard.watch(child.popen.pid)
        finally:
            os.close(parent_fd)

    def _writers(self, process: int) -> tuple[Writer, Writer]:
        return self._lines(process, self.stdout), self._lines(process, self.stderr)

    def _lines(self, process: int, output: Output) -> Lines:
        count = self.cluster.processes
        prefix = b""
        if self.cluster.prefixed and count > 1:
            prefix = _prefix(process, count, colour=_takes_colour(output.fd))
        return Lines(output, prefix, whole=count > 1)

    def relay(self) -> int:
        """Relay until all has ended and is written; give the exit code."""
        while self._goes_on():
            self._wait()
            for child in self.children:
                child.look()
                if child.has_ended:
                    child.drain()
                    self.first_end = self.first_end or time.monotonic()
            self._stop_if_unread()
            self._end_the_others()
        code, text = self._result()
        if text:
            if self.stderr.in_line:
                self.stderr.write(b"\n")
            self.stderr.write(text.encode("utf-8", "backslashreplace") + b"\n")
        while not (self.stdout.is_empty and self.stderr.is_empty):
            self._wait()
        return code

    def kill(self) -> None:
        """Leave nothing behind, whatever has happened."""
        for child in self.children:
            child.kill()
        for child in self.children:
            child.code = child.popen.wait()
            for pipe in child.pipes:
                pipe.close()
        if self._lifeline is not None:
            os.close(self._lifeline)
        if self._guard is not None:
            self._guard.close()

    def _goes_on(self) -> bool:
        return any(
            not child.has_ended or any(pipe.is_open for pipe in child.pipes)
            for child in self.children
        )

    def _wait(self) -> None:
        """Wait for something to do, and do what is at hand."""
        poll = select.poll()
        poll.register(self.wakeup_fd, select.POLLIN)
        pipes = {pipe.fd: pipe for child in self.children for pipe in child.pipes}
        pipes = {fd: pipe for fd, pipe in pipes.items() if pipe.wants_more}
        for fd in pipes:
            poll.register(fd, select.POLLIN)
        for output in (self.stdout, self.stderr):
            if not output.is_empty:
                poll.register(output.fd, select.POLLOUT)
        size = 0
        for fd, _ in poll.poll(self._timeout()):
            if fd in pipes:
                size += pipes[fd].read()
            elif fd == self.wakeup_fd:
                for number in os.read(fd, 4096):
                    self._signal(number)
        self.stdout.flush()
        self.stderr.flush()
        if 0 < size < _FEW_BYTES:
            self._wakeup.poll(_NAP_MILLISECONDS)

    def _signal(self, number: int) -> None:
        if number == signal.SIGCHLD:
            return
        running = [child for child in self.children if not child.has_ended]
        if self.stop is None and running:
            self._stop(number)
            return
        self.killed = self.killed or bool(running)
        for child in running:
            child.kill()
        for output in (self.stdout, self.stderr):
            # Who wants an end at once does not wait for a slow reader.
            if not output.is_empty:
                output.drop(BrokenPipeError())

    def _stop(self, number: int) -> None:
        """Have one process stop the cluster in order."""
        self.stop = number
        child = next(child for child in self.children if not child.has_ended)
        child.send(signal.SIGINT if number == signal.SIGINT else signal.SIGTERM)

    def _stop_if_unread(self) -> None:
        running = any(not child.has_ended for child in self.children)
        if self.stdout.broken is not None and self.stop is None and running:
            self._stop(signal.SIGTERM)

    def _timeout(self) -> float | None:
        """Milliseconds until the others have to be told again."""
        due = self._due()
        return None if due is None else max(0.0, due - time.monotonic()) * 1000 + 1

    def _due(self) -> float | None:
        if self.first_end is None or all(child.has_ended for child in self.children):
            return None
        if self.told_to_end is None:
            return self.first_end + self._patience()[0]
        return self.told_to_end + self._patience()[1]

    def _patience(self) -> tuple[float, float]:
        if any(child.code not in (None, 0, _INTERRUPTED) for child in self.children):
            return _PATIENCE_AFTER_FAILURE
        return _PATIENCE_AFTER_END if self.stop is None else _PATIENCE_AFTER_STOP

    def _end_the_others(self) -> None:
        """A process that waits for one that is gone would wait for ever."""
        due = self._due()
        if due is None or due > time.monotonic():
            return
        running = [child for child in self.children if not child.has_ended]
        if self.told_to_end is None and self._patience() == _PATIENCE_AFTER_END:
            ended = next(child for child in self.children if child.has_ended)
            self._say(f"process {ended.process} has ended before the others; they are stopped")
        for child in running:
            if self.told_to_end is None:
                child.send(signal.SIGTERM)
            else:
                self._say(f"process {child.process} does not end; it is killed")
                child.kill()
        self.told_to_end = time.monotonic()

    def _say(self, sentence: str) -> None:
        self.stderr.write(f"hostmesh: {sentence}\n".encode())

    def _result(self) -> tuple[int, str]:
        """The exit code, and what to print last."""
        if self.killed:
            return _INTERRUPTED, ""
        known = [child.report.failure or child.unexplained() for child in self.children]
        failures = [
            failure for failure in known if failure is not None and not self._is_wanted(failure)
        ]
        if failures:
            cause = first(failures)
            return cause.exit_code, describe(cause)
        broken = self.stdout.broken
        if broken is not None and not isinstance(broken, BrokenPipeError):
            return _CANNOT_WRITE, f"error: cannot write to stdout: {broken.strerror}"
        codes = {child.code for child in self.children}
        return (_INTERRUPTED if _INTERRUPTED in codes or self.stop == signal.SIGINT else 0), ""

    def _is_wanted(self, failure: Failure) -> bool:
        """Whether it only says that somebody has asked for the end."""
        if failure.exit_code == _INTERRUPTED:
            return True
        if self.stop is None or failure.lost is None or failure.lost >= len(self.children):
            return False
        lost = self.children[failure.lost]
        return lost.code in (0, _INTERRUPTED) or -(lost.code or 0) in lost.sent


@contextlib.contextmanager
def _signals() -> Iterator[int]:
    """Have signals written to a pipe; give the end to read."""
    read_fd, write_fd = os.pipe()
    os.set_blocking(write_fd, False)
    numbers = [signal.SIGINT, signal.SIGTERM, signal.SIGCHLD]
    if signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:
        # Whoever has set nohup means it.
        numbers.append(signal.SIGHUP)
    before_fd = signal.set_wakeup_fd(write_fd, warn_on_full_buffer=False)
    before = {number: signal.signal(number, lambda *_: None) for number in numbers}
    try:
        yield read_fd
    finally:
        signal.set_wakeup_fd(before_fd)
        for number, handler in before.items():
            signal.signal(number, handler)
        os.close(read_fd)
        os.close(write_fd)


def _fill_standard_fds() -> None:
    """Whatever is opened next must not become stdin, stdout or stderr."""
    while (fd := os.open(os.devnull, os.O_RDWR)) <= 2:
        pass
    os.close(fd)


def _takes_colour(fd: int) -> bool:
    plain = os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb"
    return not plain and os.isatty(fd)


def _prefix(process: int, count: int, *, colour: bool) -> bytes:
    text = f"{process:>{len(str(count - 1))}} |"
    if colour:
        text = f"\x1b[{_COLOURS[process % len(_COLOURS)]}m{text}\x1b[0m"
    return f"{text} ".encode()
