"""The session on a host: does what the operator's `ctl` asks for, one thing after the other.

It lives as long as its SSH channel. When the channel ends, or nothing is heard for twenty
seconds, a switch that was not committed is undone, and the lock is free again.
"""

import contextlib
import signal
import sys
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ctl.remote.conversation import Conversation
from ctl.remote.deployments import Deployment
from ctl.remote.errors import LOST, RemoteError, cannot_write
from ctl.remote.facts import gather
from ctl.remote.following import send_logs
from ctl.remote.frames import Message
from ctl.remote.leftovers import Leftovers
from ctl.remote.lock import DeploymentLock, RootLock, holder
from ctl.remote.reach import Listeners, dial
from ctl.remote.root import Root, prepare, read_json

if TYPE_CHECKING:
    from ctl.remote.changes import Change


class Agent:
    """The session.

    Args:
        root: Where everything is.
        agent: Digest of the layer with this code.
        streams: Descriptors that messages come from and go to.
    """

    def __init__(self, root: Root, agent: str, streams: tuple[int, int] = (0, 1)) -> None:
        self._root = root
        self._agent = agent
        self._operator = Conversation(streams)
        self._number = 0
        self._lock: DeploymentLock | None = None
        self._root_lock: RootLock | None = None
        self._changed: Change | None = None
        self._listeners = Listeners()
        self._leftovers = Leftovers(root)

    def run(self) -> None:
        """Do what is asked for until the operator is gone."""
        self._operator.start()
        self._operator.send({"hello": self._hello()})
        try:
            while (item := self._operator.take()) is not None:
                self._handle(item[0])
        finally:
            self._settle()

    def _hello(self) -> dict[str, Any]:
        return gather(self._root) | {"agent_installed": self._root.has(self._agent)}

    def _settle(self) -> None:
        self._listeners.close()
        with contextlib.suppress(RemoteError, OSError):
            self.do_unlock()

    def _goes_on(self) -> bool:
        return self._operator.is_wanted(self._number)

    # What is asked for.

    def _handle(self, message: Message) -> None:
        self._number = message["id"]
        answer: dict[str, Any]
        try:
            operation: Callable[..., Any] = getattr(self, f"do_{message['do']}")
            answer = {"result": operation(**message.get("with", {}))}
        except RemoteError as error:
            answer = {"error": error.to_json()}
        except OSError as error:
            answer = {"error": cannot_write(error, "a file").to_json()}
        except Exception as error:
            import traceback  # Slow to import, and seldom needed.

            problem = f"a bug of hostmesh on this host: {type(error).__name__}: {error}"
            answer = {"error": {"exit_code": 1, "problem": problem, "fix": ""}}
            sys.stderr.write(traceback.format_exc())
        self._operator.send({"id": self._number, **answer})

    def _say(self, event: dict[str, Any], data: bytes = b"") -> None:
        self._operator.send({"id": self._number, "event": event}, data)

    def do_lock(self, deployment: str, who: dict[str, Any]) -> dict[str, Any]:
        """Take the lock; put right what a deploy that was cut off has left."""
        # Late, since most sessions change nothing.
        from ctl.remote.changes import Change

        changed = Change(self._root, deployment)
        try:
            self._root_lock = RootLock(self._root.path, exclusive=False)
            self._lock = DeploymentLock(changed.folder, who)
        except OSError as error:
            self._release_root()
            raise cannot_write(error, "the deployment's folder") from error
        except RemoteError:
            self._release_root()
            raise
        self._changed = changed
        return {"mended": changed.mend(), "current": changed.current}

    def do_look(self, deployment: str, layers: list[str], release: str) -> dict[str, Any]:
        """What of a release is there already."""
        there = Deployment(self._root, deployment)
        current = there.current
        manifest = None
        if current is not None and current.get("release"):
            manifest = read_json(self._root.release(current["release"]))
        return {
            "missing": [digest for digest in layers if not self._root.has(digest)],
            "checked": self._root.release(release).exists(),
            "current": current,
            "manifest": manifest,
            "ports": there.ports(),
            "changing": holder(there.folder),
        }

    def do_listen(self, places: list[list[Any]]) -> list[str | None]:
        """Listen where processes will."""
        return self._listeners.open(places)

    def do_dial(self, places: list[list[Any]], timeout: float) -> list[str | None]:
        """Connect to where others listen."""
        return dial(places, timeout)

    def do_hush(self) -> None:
        """Listen no more."""
        self._listeners.close()

    def do_push(self, digest: str) -> None:
        """Take a layer, whose blocks come next."""
        # Late, since most sessions push nothing.
        from ctl.remote.unpack import receive

        ended = False

        def take() -> bytes:
            nonlocal ended
            item = None if ended else self._operator.take()
            if item is None:
                ended = True
                if self._operator.is_lost:
                    raise RemoteError(LOST, "the connection was lost during a push")
                return b""
            message, block = item
            ended = bool(message.get("last"))
            return block

        self._leftovers.note(self._root.layer(digest))
        try:
            receive(self._root, digest, take)
        finally:
            while not ended:
                take()

    def do_stage(
        self, launch: dict[str, Any], files: dict[str, str], secrets: dict[str, str]
    ) -> None:
        """Lay out what processes will be given."""
        from ctl.remote.staging import stage

        self._leftovers.note(self._root.release(launch["release"]))
        stage(self._deployment(), launch, files, secrets)

    def do_begin_switch(self, launch: str) -> None:
        """Note what runs."""
        self._deployment().begin_switch(launch)

    def do_forget_switch(self) -> None:
        """Take that back."""
        if self._changed is not None:
            self._changed.forget_switch()

    def do_halt(self, grace: float) -> None:
        """Stop what runs."""
        self._deployment().halt(grace)

    def do_switch(self, launch: str, grace: float) -> None:
        """Stop what runs, and start the launch."""
        self._deployment().switch(launch, grace, self._goes_on)

    def do_ready(self, launch: str, timeout: float) -> dict[str, Any] | None:
        """Wait until all processes of the launch are ready."""
        return self._deployment().ready(launch, timeout, self._goes_on, self._say)

    def do_first_failure(self, launch: str, seconds: float) -> dict[str, Any] | None:
        """Wait for a process that failed for a reason of its own."""
        return self._deployment().first_failure(launch, seconds, self._goes_on)

    def do_commit(self, launch: str) -> None:
        """Make the launch the one that counts."""
        self._deployment().commit(launch)
        self._leftovers.keep()

    def do_revert(self) -> None:
        """Undo the switch."""
        self._deployment().revert()

    def do_announce_stop(self, grace: float) -> None:
        """Let all supervisors know that a stop is about to come."""
        self._deployment().announce_stop(grace)

    def do_stop(self, grace: float) -> list[dict[str, Any]]:
        """Stop all processes; give how each ended."""
        deployment = self._deployment()
        deployment.stop(grace)
        processes: list[dict[str, Any]] = deployment.status()["processes"]
        return processes

    def do_unlock(self) -> None:
        """Undo what was not committed, leave nothing of it, and let others have the lock."""
        if self._changed is None or self._lock is None:
            return
        try:
            self._revert(self._changed)
            self._changed.tidy()
            self._leftovers.remove()
        finally:
            self._lock.release()
            self._lock = self._changed = None
            self._release_root()
            self._leftovers.sweep()

    def do_prune(self, dry_run: bool) -> dict[str, Any]:
        """Remove what no deployment uses."""
        from ctl.remote.pruning import prune

        if not self._root.path.is_dir():
            return {"layers": [], "releases": 0}
        lock = RootLock(self._root.path, exclusive=True)
        try:
            return prune(self._root, self._agent, dry_run=dry_run)
        finally:
            lock.release()

    def _release_root(self) -> None:
        if self._root_lock is not None:
            self._root_lock.release()
            self._root_lock = None

    def do_status(self, deployment: str) -> dict[str, Any]:
        """What is known of a deployment."""
        return {"time": time.time(), **Deployment(self._root, deployment).status()}

    def do_logs(self, deployment: str, wanted: dict[str, Any]) -> None:
        """Send logs."""
        send_logs(Deployment(self._root, deployment), wanted, self._say, self._goes_on)

    def _revert(self, changed: "Change") -> None:
        try:
            changed.revert()
        except (RemoteError, OSError):
            # What this session has brought may have filled the disk.
            self._leftovers.remove()
            changed.revert()

    def _deployment(self) -> "Change":
        assert self._changed is not None, "the lock comes first"
        return self._changed


def main(wanted: dict[str, Any]) -> None:
    """Run a session; called by the boot program.

    Args:
        wanted: `root` and `agent`, as the operator's first frame has them.
    """
    prepare()
    # Losing the operator is found out by reading; it must not end us before all is put right.
    # A handler, since what is ignored stays so in every process that we start.
    for number in (signal.SIGHUP, signal.SIGPIPE, signal.SIGINT):
        signal.signal(number, lambda *_: None)
    signal.signal(signal.SIGTERM, _end)
    Agent(Root(wanted["root"]), wanted["agent"]).run()


def _end(*_: object) -> None:
    """End in order; asked again, do not end before all is put right."""
    signal.signal(signal.SIGTERM, lambda *_: None)
    sys.exit()
