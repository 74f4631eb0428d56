"""Keeps one process of a deployment: starts it, keeps its output, knows how it ended.

It outlives the SSH session that started it, holds the lock of the process's folder as long as it
lives, and what it has started dies with it, even if it is killed.

    supervisor <folder of the process> <file with the launch> <number of the lock's descriptor>
"""

import contextlib
import ctypes
import os
import select
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ctl.remote.logfile import Lines, LogWriter
from ctl.remote.root import prepare, read_json, write_json

_PR_SET_PDEATHSIG = 1
_LIBC = ctypes.CDLL(None, use_errno=True)
_READ = 256 << 10
_TAIL_LINES = 80
_TAIL_BYTES = 16 << 10
_DEFAULT_GRACE = 60.0
_SHORTEST_HIDDEN = 4
"""Bytes of a secret; shorter ones are part of too many words."""
_FIRST_PAUSE, _LONGEST_PAUSE = 0.5, 30.0


@dataclass(frozen=True)
class RestartPolicy:
    """When a process that ended is started again.

    Args:
        codes: Exit codes after which it is.
        signals: Whether it is after a signal that nobody here has sent.
        limit: Starts again within the window, at most.
        window: Seconds.
    """

    codes: tuple[int, ...] = ()
    signals: bool = False
    limit: int = 3
    window: float = 600.0

    @classmethod
    def of(cls, spec: dict[str, Any] | None) -> "RestartPolicy":
        """What a launch says; nothing means never."""
        if spec is None:
            return cls()
        return cls(
            tuple(spec.get("codes", ())),
            bool(spec.get("signals")),
            int(spec.get("limit", cls.limit)),
            float(spec.get("window", cls.window)),
        )

    def pause(self, code: int, before: list[float], now: float) -> float | None:
        """Seconds to wait before the next start, or `None` for no more.

        Args:
            code: How it ended, as `Popen.returncode` says.
            before: Times of earlier starts after an end.
            now: Time of the same clock.
        """
        if not (self.signals if code < 0 else code in self.codes):
            return None
        recent = sum(1 for each in before if now - each < self.window)
        if recent >= self.limit:
            return None
        return float(min(_FIRST_PAUSE * 2**recent, _LONGEST_PAUSE))


@dataclass
class Supervisor:
    """The one loop that relays output, signals and ends.

    Args:
        folder: Of the process.
        spec: What to run, as a launch has it.
        launch: ID of the launch, which the state names.
        secrets: Variables whose values its output must not show.
    """

    folder: Path
    spec: dict[str, Any]
    launch: str
    secrets: dict[str, str] = field(default_factory=dict)
    starts_again: list[float] = field(default_factory=list)
    stopping: bool = False
    kill_at: float | None = None

    def __post_init__(self) -> None:
        self._log = LogWriter(self.folder / "log")
        self._tail: list[bytes] = []
        self._child: subprocess.Popen[bytes] | None = None
        self._guard = _Guard()
        self._wakeup, signals = os.pipe()
        os.set_blocking(signals, False)
        signal.set_wakeup_fd(signals, warn_on_full_buffer=False)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD):
            signal.signal(number, lambda *_: None)
        self._state: dict[str, Any] = {
            "launch": self.launch,
            "supervisor": os.getpid(),
            "restarts": 0,
            "log_start": self._log.cursor,
        }
        self._policy = RestartPolicy.of(self.spec.get("restart"))
        self._hidden = {
            value.encode("utf-8", "surrogateescape"): f"[secret {name}]".encode()
            for name, value in self.secrets.items()
            if len(value) >= _SHORTEST_HIDDEN
        }

    def run(self) -> None:
        """Run the process until it is not to be started again."""
        while True:
            code = self._run_once()
            pause = None
            if not self.stopping:
                pause = self._policy.pause(code, self.starts_again, _clock())
            if pause is None or not self._wait(pause):
                break
            self.starts_again.append(_clock())
            self._state["restarts"] += 1
        self._guard.close()
        self._save(state=self._final(code))

    def _final(self, code: int) -> str:
        if self.stopping:
            return "stopped"
        return "finished" if code == 0 else "failed"

    def _run_once(self) -> int:
        self._tail.clear()
        self._save(
            state="running", pid=None, exit_code=None, signal=None, ended_at=None,
            started_at=time.time(), started=_clock(),
        )
        try:
            child = self._start()
        except OSError as error:
            text = f"cannot start {self.spec['argv'][0]}: {error.strerror}"
            self._keep(b"e", [text.encode()])
            self._ended(127)
            return 127
        self._child = child
        self._guard.watch(child.pid)
        self._save(pid=child.pid)
        code = self._relay(child)
        self._guard.forget()
        self._child = None
        self._ended(code)
        return code

    def _start(self) -> "subprocess.Popen[bytes]":
        supervisor = os.getpid()

        def die_with_us() -> None:
            _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
            if os.getppid() != supervisor:
                os._exit(1)

        cwd = self.spec["cwd"]
        Path(cwd).mkdir(parents=True, exist_ok=True)
        return subprocess.Popen(  # noqa: S603  # runs what the operator has asked to run
            self.spec["argv"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            bufsize=0,
            cwd=cwd,
            env={**self.spec["env"], **self.secrets},
            start_new_session=True,
            preexec_fn=die_with_us,  # noqa: PLW1509  # this process has no threads
        )

    def _relay(self, child: "subprocess.Popen[bytes]") -> int:
        """Keep its output until it has ended and all is read; give its exit code."""
        assert child.stdout is not None
        assert child.stderr is not None
        pipes = {child.stdout.fileno(): (b"o", Lines()), child.stderr.fileno(): (b"e", Lines())}
        poll = select.poll()
        for fd in (*pipes, self._wakeup):
            poll.register(fd, select.POLLIN)
        code = None
        drained_at = None
        while code is None or pipes:
            for fd, _ in poll.poll(self._timeout(drained_at)):
                if fd == self._wakeup:
                    self._signals(os.read(fd, 4096))
                    continue
                kind, lines = pipes[fd]
                data = os.read(fd, _READ)
                whole = lines.feed(data) if data else lines.rest()
                if whole:
                    self._keep(kind, whole)
                if not data:
                    poll.unregister(fd)
                    del pipes[fd]
            self._kill_if_due(child)
            if code is None and _has_ended(child):
                # Its number is not given to another process before `wait`.
                self._kill_group(child)
                code = child.wait()
                drained_at = _clock() + 1.0
            if drained_at is not None and _clock() >= drained_at:
                # Somebody outside of the group holds the pipes.
                break
        for stream in (child.stdout, child.stderr):
            stream.close()
        return child.returncode

    def _timeout(self, drained_at: float | None) -> float | None:
        dues = [due for due in (self.kill_at, drained_at) if due is not None]
        return max(0.0, min(dues) - _clock()) * 1000 + 1 if dues else None

    def _signals(self, numbers: bytes) -> None:
        for number in numbers:
            if number not in (signal.SIGTERM, signal.SIGINT):
                continue
            if self.stopping:
                continue
            self.stopping = True
            asked = read_json(self.folder / "stop.json") or {}
            self.kill_at = _clock() + float(asked.get("grace", _DEFAULT_GRACE))
            if self._child is not None and not _has_ended(self._child):
                os.kill(self._child.pid, self.spec.get("stop_signal", signal.SIGTERM))

    def _kill_if_due(self, child: "subprocess.Popen[bytes]") -> None:
        if self.kill_at is not None and self.kill_at <= _clock() and not _has_ended(child):
            self._keep(b"e", [b"hostmesh: it did not end in time and is killed"])
            self._kill_group(child)
            self.kill_at = None

    def _kill_group(self, child: "subprocess.Popen[bytes]") -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(child.pid, signal.SIGKILL)

    def _wait(self, seconds: float) -> bool:
        """Wait for the next start; tell whether there is to be one."""
        self._save(state="starting", pid=None)
        until = _clock() + seconds
        while not self.stopping and (left := until - _clock()) > 0:
            ready, _, _ = select.select([self._wakeup], [], [], left)
            if ready:
                self._signals(os.read(self._wakeup, 4096))
        return not self.stopping

    def _keep(self, kind: bytes, lines: list[bytes]) -> None:
        for value, mark in self._hidden.items():
            lines = [line.replace(value, mark) for line in lines]
        self._log.write(kind, lines, time.time())
        if kind == b"e":
            self._tail = (self._tail + lines)[-_TAIL_LINES:]

    def _ended(self, code: int) -> None:
        tail = b"\n".join(self._tail)[-_TAIL_BYTES:].decode("utf-8", "replace")
        self._save(
            state=self._final(code), pid=None, ended_at=time.time(), tail=tail if code else "",
            exit_code=code if code >= 0 else None, signal=-code if code < 0 else None,
        )

    def _save(self, **changes: Any) -> None:
        self._state.update(changes)
        # The process goes on although its state cannot be shown.
        with contextlib.suppress(OSError):
            write_json(self.folder / "state.json", self._state)


class _Guard:
    """A process that kills what is left of ours once we are gone, however that happened."""

    def __init__(self) -> None:
        read_fd, self._write_fd = os.pipe()
        self._pid = os.fork()
        if self._pid == 0:
            try:
                self._guard(read_fd)
            finally:
                os._exit(0)
        os.close(read_fd)

    def watch(self, group: int) -> None:
        """Have a process group killed."""
        os.write(self._write_fd, b"%d\n" % group)

    def forget(self) -> None:
        """Kill nothing for now."""
        os.write(self._write_fd, b"0\n")

    def close(self) -> None:
        """End it."""
        self.forget()
        os.close(self._write_fd)
        os.waitpid(self._pid, 0)

    def _guard(self, read_fd: int) -> None:
        os.setsid()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
        # The lock above all must not outlive its holder.
        os.closerange(0, read_fd)
        os.closerange(read_fd + 1, 1 << 12)
        said = b""
        while more := os.read(read_fd, 4096):
            said = (said + more)[-64:]
        group = int(said.split()[-1]) if said.split() else 0
        if group:
            with contextlib.suppress(OSError):
                os.killpg(group, signal.SIGKILL)


def _has_ended(child: "subprocess.Popen[bytes]") -> bool:
    if child.returncode is not None:
        return True
    how = os.WEXITED | os.WNOHANG | os.WNOWAIT
    with contextlib.suppress(ChildProcessError):
        return os.waitid(os.P_PID, child.pid, how) is not None
    return True


def _clock() -> float:
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def main(arguments: list[str]) -> None:
    """Run as a program; the last argument is the descriptor of the lock, which stays open."""
    folder, file, lock_fd = Path(arguments[0]), Path(arguments[1]), int(arguments[2])
    os.set_inheritable(lock_fd, False)
    prepare()
    launch = read_json(file)
    assert launch is not None, f"no launch in {file}"
    spec = next(each for each in launch["processes"] if str(each["id"]) == folder.name)
    secrets = read_json(file.with_name("secrets.json")) or {}
    Supervisor(folder, spec, launch["launch"], secrets).run()


if __name__ == "__main__":
    main(sys.argv[1:])
