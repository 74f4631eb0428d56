"""Keeps one process of a deployment: starts it, keeps its output, knows how it ended.

It outlives the SSH session that started it, holds the lock of the process's folder as long as it
lives, and what it has started dies with it, even if it is killed.

    supervisor <folder of the process> <file with the launch> <number of the lock's descriptor>
"""

import contextlib
import os
import select
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from ctl.remote.errors import UNREACHABLE, cannot_write
from ctl.remote.guard import Guard, dying_with_us
from ctl.remote.logfile import Lines
from ctl.remote.output import Output
from ctl.remote.relaying import RelayProcess
from ctl.remote.restarts import Restarts
from ctl.remote.root import age_s, prepare, read_json, write_json

_READ = 256 << 10
_DEFAULT_GRACE = 60.0
_COMING_SECONDS = 30.0
"""How long after its announcement a stop may come."""

_DRAIN_SECONDS = 5.0
"""How long what a relay carries may take to end, once its process was stopped."""

_NOT_STARTED = 127
"""What a shell says of a program that it cannot run."""


class Supervisor:
    """The one loop that relays output, signals and ends.

    Args:
        folder: Of the process.
        spec: What to run, as a launch has it.
        launch: ID of the launch, which the state names.
        file: File with the launch.
        secrets: Variables whose values its output must not show.

    Raises:
        OSError: If its log or state cannot be written; nobody could find it to stop it.
    """

    def __init__(
        self, folder: Path, spec: dict[str, Any], launch: str, file: Path, secrets: dict[str, str]
    ) -> None:
        self._folder, self._spec = folder, spec
        self._secrets = secrets
        self._stopping = False
        self._kill_at: float | None = None
        self._output = Output(self._folder / "log", secrets)
        self._child: subprocess.Popen[bytes] | None = None
        self._guard = Guard()
        self._mesh: RelayProcess | None = None
        if self._spec.get("relay") is not None:
            self._mesh = RelayProcess(file, self._spec["id"], self._note, dying_with_us())
        self._wakeup, signals = os.pipe()
        os.set_blocking(signals, False)
        signal.set_wakeup_fd(signals, warn_on_full_buffer=False)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD):
            signal.signal(number, lambda *_: None)
        self._state: dict[str, Any] = {
            "launch": launch,
            "supervisor": os.getpid(),
            "restarts": 0,
            "log_start": self._output.cursor,
        }
        self._restarts = Restarts(folder, spec)
        write_json(self._folder / "state.json", {**self._state, "state": "starting"})

    def run(self) -> None:
        """Run the process until it is not to be started again."""
        while True:
            code = self._run_once()
            pause = None
            if not self._stopping and not self._stop_is_announced():
                pause = self._restarts.pause(code, _clock())
            # In one write: whoever waits for it takes a failure that is seen for the end.
            self._ended(code, self._final(code) if pause is None else "starting")
            if pause is None:
                break
            if not self._wait(pause):
                self._save(state="stopped")
                break
            self._restarts.started(_clock())
            self._state["restarts"] += 1
        self._end_mesh()
        self._guard.close()

    def _final(self, code: int) -> str:
        if self._stopping:
            return "stopped"
        # Peers that were told before us may have ended the whole cluster, or just left us alone.
        lost = self._spec.get("lost_codes")
        if (lost is None or code in (0, *lost)) and self._stop_is_announced():
            return "stopped"
        return "finished" if code == 0 else "failed"

    def _stop_is_announced(self) -> bool:
        """Whether a stop is under way; one that was announced and never came is past some time."""
        file = self._folder / "stop.json"
        with contextlib.suppress(OSError):
            grace = float((read_json(file) or {}).get("grace", _DEFAULT_GRACE))
            return age_s(file) < grace + _COMING_SECONDS
        return False

    def _run_once(self) -> int:
        self._output.begin()
        self._save(
            state="running",
            pid=None,
            exit_code=None,
            signal=None,
            ended_at=None,
            started_at=time.time(),
            started=_clock(),
        )
        if self._mesh is not None and not self._mesh.ensure():
            self._output.keep(b"e", [b"hostmesh: not started, since its mesh cannot be relayed"])
            return UNREACHABLE
        try:
            child = self._start()
        except (OSError, ValueError, subprocess.SubprocessError) as error:
            text = f"hostmesh: cannot start {self._spec['argv'][0]}: {error}"
            self._output.keep(b"e", [text.encode("utf-8", "surrogateescape")])
            return _NOT_STARTED
        self._child = child
        self._guard.watch(child.pid)
        self._save(pid=child.pid)
        code = self._relay(child)
        self._child = None
        return code

    def _start(self) -> "subprocess.Popen[bytes]":
        cwd = self._spec["cwd"]
        Path(cwd).mkdir(parents=True, exist_ok=True)
        return subprocess.Popen(  # noqa: S603  # runs what the operator has asked to run
            self._spec["argv"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            bufsize=0,
            cwd=cwd,
            env={**self._spec["env"], **self._secrets},
            start_new_session=True,
            preexec_fn=dying_with_us(),  # noqa: PLW1509  # this process has no threads
        )

    def _relay(self, child: "subprocess.Popen[bytes]") -> int:
        """Keep its output until it has ended and all is read; give its exit code."""
        assert child.stdout is not None
        assert child.stderr is not None
        pipes = {child.stdout.fileno(): (b"o", Lines()), child.stderr.fileno(): (b"e", Lines())}
        poll = select.poll()
        for fd in (*pipes, self._wakeup):
            poll.register(fd, select.POLLIN)
        if self._mesh is not None:
            poll.register(self._mesh.fd, select.POLLIN)
        code = None
        drained_at = None
        while code is None or pipes:
            self._pass_on(poll, pipes, self._timeout(drained_at))
            self._kill_if_due(child)
            if code is None and _has_ended(child):
                # Its number is not given to another process before `wait`.
                self._kill_group(child)
                self._guard.forget()
                code = child.wait()
                drained_at = _clock() + 1.0
            if drained_at is not None and _clock() >= drained_at:
                # Somebody outside of the group holds the pipes.
                break
        for kind, lines in pipes.values():
            self._output.keep(kind, lines.rest())
        for stream in (child.stdout, child.stderr):
            stream.close()
        return child.returncode

    def _pass_on(
        self, poll: select.poll, pipes: dict[int, tuple[bytes, Lines]], timeout: float | None
    ) -> None:
        for fd, _ in poll.poll(timeout):
            if fd == self._wakeup:
                self._signals(os.read(fd, 4096))
            elif fd not in pipes:
                self._hear_mesh(poll)
            elif not self._take(fd, *pipes[fd]):
                poll.unregister(fd)
                del pipes[fd]
        self._mend_mesh(poll)

    def _take(self, fd: int, kind: bytes, lines: Lines) -> bool:
        """Keep what is there to read; tell whether more may come."""
        data = os.read(fd, _READ)
        self._output.keep(kind, lines.feed(data) if data else lines.rest())
        return bool(data)

    def _timeout(self, drained_at: float | None) -> float | None:
        restart_at = None if self._mesh is None else self._mesh.due
        dues = [due for due in (self._kill_at, drained_at, restart_at) if due is not None]
        return max(0.0, min(dues) - _clock()) * 1000 + 1 if dues else None

    def _signals(self, numbers: bytes) -> None:
        for number in numbers:
            if number not in (signal.SIGTERM, signal.SIGINT):
                continue
            asked = read_json(self._folder / "stop.json") or {}
            kill_at = _clock() + float(asked.get("grace", _DEFAULT_GRACE))
            if self._stopping:
                # Who asks again may be in more of a hurry.
                self._kill_at = min(kill_at, self._kill_at or kill_at)
                continue
            self._stopping = True
            self._kill_at = kill_at
            if self._child is not None and not _has_ended(self._child):
                os.kill(self._child.pid, signal.Signals[self._spec["stop_signal"]])

    def _kill_if_due(self, child: "subprocess.Popen[bytes]") -> None:
        if self._kill_at is not None and self._kill_at <= _clock() and not _has_ended(child):
            self._output.keep(b"e", [b"hostmesh: it did not end in time and is killed"])
            self._kill_group(child)
            self._kill_at = None

    def _kill_group(self, child: "subprocess.Popen[bytes]") -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(child.pid, signal.SIGKILL)

    def _wait(self, seconds: float) -> bool:
        """Wait for the next start; tell whether there is to be one."""
        until = _clock() + seconds
        while not self._stopping and (left := until - _clock()) > 0:
            ready, _, _ = select.select([self._wakeup], [], [], left)
            if ready:
                self._signals(os.read(self._wakeup, 4096))
        return not self._stopping

    def _hear_mesh(self, poll: select.poll) -> None:
        assert self._mesh is not None
        fd = self._mesh.fd
        if not self._mesh.take():
            poll.unregister(fd)

    def _mend_mesh(self, poll: select.poll) -> None:
        if self._mesh is not None and self._mesh.start_if_due():
            poll.register(self._mesh.fd, select.POLLIN)

    def _end_mesh(self) -> None:
        """Have the relay deliver what the process has sent, and what others send through it."""
        if self._mesh is None:
            return
        self._mesh.drain()
        limit = _clock() + _DRAIN_SECONDS if self._stopping else None
        while self._mesh.is_there:
            left = None if limit is None else limit - _clock()
            if left is not None and left <= 0:
                self._mesh.kill()
                break
            ready, _, _ = select.select([self._wakeup, self._mesh.fd], [], [], left)
            if self._mesh.fd in ready:
                self._mesh.take()
            if self._wakeup in ready:
                self._signals(os.read(self._wakeup, 4096))
                if self._stopping and limit is None:
                    limit = _clock() + _DRAIN_SECONDS

    def _ended(self, code: int, state: str) -> None:
        self._save(
            state=state,
            pid=None,
            ended_at=time.time(),
            tail=self._output.tail if code else "",
            exit_code=code if code >= 0 else None,
            signal=-code if code < 0 else None,
        )

    def _note(self, lines: list[bytes]) -> None:
        """Keep lines of the relay; they say why a process failed only if it was not started."""
        if self._child is None:
            self._output.keep(b"e", lines)
        else:
            self._output.note(lines)

    def _save(self, **changes: Any) -> None:
        self._state.update(changes)
        # The process goes on although its state cannot be shown.
        with contextlib.suppress(OSError):
            write_json(self._folder / "state.json", self._state)


def _has_ended(child: "subprocess.Popen[bytes]") -> bool:
    if child.returncode is not None:
        return True
    how = os.WEXITED | os.WNOHANG | os.WNOWAIT
    with contextlib.suppress(ChildProcessError):
        return os.waitid(os.P_PID, child.pid, how) is not None
    return True


def _forget_dispositions() -> None:
    """Have no process ignore or block what the one who started us does."""
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    # Python ignores these two for itself; a child gets them back.
    for number in signal.valid_signals() - {signal.SIGPIPE, signal.SIGXFSZ}:
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, signal.SIG_DFL)


def _clock() -> float:
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def main(arguments: list[str]) -> None:
    """Run as a program; the last argument is the descriptor of the lock, which stays open."""
    folder, file, lock_fd = Path(arguments[0]), Path(arguments[1]), int(arguments[2])
    os.set_inheritable(lock_fd, False)
    prepare()
    _forget_dispositions()
    launch = read_json(file)
    assert launch is not None, f"no launch in {file}"
    spec = next(each for each in launch["processes"] if str(each["id"]) == folder.name)
    secrets = read_json(file.with_name("secrets.json")) or {}
    try:
        supervisor = Supervisor(folder, spec, launch["launch"], file, secrets)
    except OSError as error:
        told = cannot_write(error, "the state of a process")
        # The disk may have no room for this either, and Python would end with a code of its own.
        with contextlib.suppress(OSError):
            os.write(2, told.problem.encode("utf-8", "surrogateescape"))
        os._exit(told.exit_code)
    supervisor.run()


if __name__ == "__main__":
    main(sys.argv[1:])
