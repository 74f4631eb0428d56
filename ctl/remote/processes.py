"""The processes of a deployment on this host, each with a folder of its own."""

import contextlib
import errno
import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from ctl.remote.errors import CANNOT_WRITE, FAILED, UNREACHABLE, RemoteError, cannot_write
from ctl.remote.lock import is_locked, try_lock
from ctl.remote.probes import Answer, Asked, ask
from ctl.remote.root import read_json, write_json

if TYPE_CHECKING:
    import subprocess

_START_SECONDS = 10.0
_KILL_SECONDS = 5.0
_PAUSE = 0.01

ENDED = ("finished", "failed", "stopped")

_FLAGS = ("-I", "-S", "-X", "utf8")
_PROGRAM = (
    "import sys; sys.path.insert(0, sys.argv.pop(1)); "
    "from ctl.remote.supervisor import main; main(sys.argv[1:])"
)


class State(NamedTuple):
    """What is known of one process.

    Args:
        launch: ID of the launch that it belongs to.
        state: `starting`, `running`, `finished`, `failed` or `stopped`.
        supervised: Whether its supervisor lives.
        supervisor: The supervisor's process ID.
        pid: Its own process ID, while it runs.
        uptime_s: Seconds since its start, while it runs.
        restarts: How often it was started again.
        exit_code: How it ended.
        signal: What killed it.
        ended_at: Unix time of its end.
        tail: The end of its stderr, if it failed.
        note: What else is to be said.
    """

    launch: str | None = None
    state: str = "stopped"
    supervised: bool = False
    supervisor: int | None = None
    pid: int | None = None
    uptime_s: float | None = None
    restarts: int = 0
    exit_code: int | None = None
    signal: int | None = None
    ended_at: float | None = None
    tail: str = ""
    note: str = ""


class ProcessFolder:
    """One process of a deployment.

    Args:
        path: Its folder, named after its ID.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    @property
    def log(self) -> Path:
        """Folder of its log."""
        return self.path / "log"

    @property
    def supervised(self) -> bool:
        """Whether its supervisor lives; a free lock means dead."""
        return is_locked(self.path / "lock")

    def state(self) -> State:
        """What is known of it; what its supervisor has written counts only while that lives."""
        # In this order: a supervisor that ends between the two has written its last word.
        supervised = self.supervised
        data = read_json(self.path / "state.json")
        if data is None:
            return State(state="starting" if supervised else "stopped", supervised=supervised)
        state, note = str(data["state"]), ""
        if not supervised and state not in ENDED:
            if self.supervised:
                # It was started between the two.
                return self.state()
            state, note = "failed", "its supervisor was killed, and it with it"
        runs = state == "running"
        started = data.get("started")
        clock = time.clock_gettime(time.CLOCK_BOOTTIME)
        return State(
            launch=data.get("launch"),
            state=state,
            supervised=supervised,
            supervisor=data.get("supervisor"),
            pid=data.get("pid") if runs else None,
            uptime_s=round(clock - started, 3) if runs and started is not None else None,
            restarts=data.get("restarts", 0),
            exit_code=None if note else data.get("exit_code"),
            signal=signal.SIGKILL if note else data.get("signal"),
            ended_at=data.get("ended_at"),
            tail=data.get("tail", ""),
            note=note,
        )

    def start(self, launch: Path, agent: Path) -> "subprocess.Popen[bytes]":
        """Start its supervisor; the process's end does not wait for ours.

        Args:
            launch: File with the launch.
            agent: Layer with the supervisor's code.

        Raises:
            RemoteError: 70, if the folder is in use.
        """
        import subprocess  # Slow to import, and most sessions start nothing.

        fd = try_lock(self.path / "lock")
        if fd is None:
            msg = f"process {self.path.name} still runs"
            raise RemoteError(FAILED, msg, "stop the deployment first")
        try:
            for name in ("state.json", "stop.json", "put-back.json"):
                (self.path / name).unlink(missing_ok=True)
            words = (sys.executable, *_FLAGS, "-c", _PROGRAM, agent, self.path, launch, fd)
            with (self.path / "supervisor.err").open("wb") as complaints:
                return subprocess.Popen(  # noqa: S603  # our own program
                    [str(word) for word in words],
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    stderr=complaints,
                    cwd="/",
                    pass_fds=(fd,),
                    start_new_session=True,
                )
        finally:
            os.close(fd)

    def started(self, supervisor: "subprocess.Popen[bytes]") -> None:
        """Wait until the supervisor has said so.

        Raises:
            RemoteError: 70, if it does not, or 73, if it cannot write.
        """
        until = time.monotonic() + _START_SECONDS
        while time.monotonic() < until:
            state = read_json(self.path / "state.json")
            if state is not None and state.get("supervisor") == supervisor.pid:
                return
            if supervisor.poll() is not None:
                break
            time.sleep(_PAUSE)
        # Nobody would find one that is late.
        supervisor.kill()
        code = CANNOT_WRITE if supervisor.wait() == CANNOT_WRITE else FAILED
        complaint = (self.path / "supervisor.err").read_text("utf-8", "replace").strip()
        if code == CANNOT_WRITE and not complaint:
            # Not even that could be written.
            full = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            raise cannot_write(full, f"the state of process {self.path.name}")
        msg = f"the supervisor of process {self.path.name} did not start: {complaint[-500:]}"
        raise RemoteError(code, msg)

    def announce_stop(self, grace: float) -> None:
        """Let its supervisor know that an end in order is one that was asked for.

        Args:
            grace: Seconds until it is killed, once it has been asked.
        """
        # On a full disk it has the seconds that it gives itself.
        with contextlib.suppress(OSError):
            write_json(self.path / "stop.json", {"grace": grace})

    def note_put_back(self) -> None:
        """Have it started again for some time if it loses its peers; see `ctl.remote.restarts`."""
        # On a full disk it runs nevertheless.
        with contextlib.suppress(OSError):
            write_json(self.path / "put-back.json", {})

    def ask_to_stop(self, grace: float) -> bool:
        """Have it stopped in order, or killed after some seconds; tell whether it heard."""
        state = self.state()
        if not state.supervised or state.supervisor is None:
            return False
        self.announce_stop(grace)
        return _signal(state.supervisor, signal.SIGTERM)

    def kill(self) -> bool:
        """End it at once; its supervisor's guard takes the process along."""
        state = self.state()
        if not state.supervised or state.supervisor is None:
            return False
        return _signal(state.supervisor, signal.SIGKILL)

    def ask(self, spec: dict[str, Any]) -> Answer:
        """How it is, in its own words."""
        state = read_json(self.path / "state.json") or {}
        number, offset = state.get("log_start", (0, 0))
        runs = state.get("state") == "running"
        asked = Asked(state.get("pid") if runs else None, self.log, (number, offset))
        return ask(spec["ready"], asked)


def stop_all(folders: list[ProcessFolder], grace: float) -> None:
    """Stop processes, all at once, in order or after some seconds by force.

    Args:
        folders: Of the processes.
        grace: Seconds.

    Raises:
        RemoteError: 69, if one cannot be ended at all.
    """
    if _end(folders, lambda folder: folder.ask_to_stop(grace), grace + _KILL_SECONDS):
        return
    if not _end(folders, ProcessFolder.kill, _KILL_SECONDS):
        names = ", ".join(each.path.name for each in folders if each.supervised)
        raise RemoteError(UNREACHABLE, f"process {names} cannot be ended")


def _signal(supervisor: int, number: signal.Signals) -> bool:
    # Its lock is held, so the process ID is the supervisor's and nobody else's.
    with contextlib.suppress(ProcessLookupError):
        os.kill(supervisor, number)
        return True
    return False


def _end(
    folders: list[ProcessFolder], signal_: Callable[[ProcessFolder], bool], seconds: float
) -> bool:
    until = time.monotonic() + seconds
    unheard = list(folders)
    while True:
        # A supervisor that has only just been started cannot hear yet.
        unheard = [folder for folder in unheard if not signal_(folder)]
        if not any(folder.supervised for folder in folders):
            return True
        if time.monotonic() > until:
            return False
        time.sleep(_PAUSE)
