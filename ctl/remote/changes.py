"""What changes of one deployment on this host.

A change is *staged* beside what runs, *switched* to, and then *committed* or *reverted*. The file
`switching.json` is there between a switch and its end, so that whoever comes after a crash
knows what to put right.
"""

import contextlib
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from ctl.remote.deployments import Deployment
from ctl.remote.errors import LOST, UNREACHABLE, RemoteError, cannot_write
from ctl.remote.processes import ENDED, State, stop_all
from ctl.remote.removing import remove_tree
from ctl.remote.root import write_json

_PAUSE = 0.02
_END_SECONDS = 3.0
"""How long an end in order takes from one host to the next, at most."""

REVERT_GRACE = 10.0
"""Seconds that processes have to end in order when a switch is undone."""


class _NotStartedError(RemoteError):
    """What ran before cannot be started again."""


class Change(Deployment):
    """A deployment on this host, for whoever holds its lock; see `Deployment`."""

    def begin_switch(self, launch: str) -> None:
        """Note what runs, so that it can run again; until all hosts have, nothing may stop.

        A cluster ends as a whole, so what runs here may end because another host has switched.

        Args:
            launch: ID of the launch that is to come.

        Raises:
            RemoteError: 73 if it cannot be written.
        """
        running = any(folder.supervised for folder in self.folders())
        journal = {"launch": launch, "before": self.current, "running": running, "halted": False}
        self._note("switching.json", journal)

    def forget_switch(self) -> None:
        """Remove the note of a switch: nothing was stopped, or all of it is settled."""
        (self.folder / "switching.json").unlink(missing_ok=True)

    def halt(self, grace: float) -> None:
        """Stop what runs; until all hosts have, nothing else may be started on any.

        Else processes of two launches would meet, and refuse each other.

        Args:
            grace: Seconds in which processes may end in order.

        Raises:
            RemoteError: If they cannot be ended, or it cannot be noted (73) that they were.
        """
        switching = self.switching
        if switching is not None and not switching["halted"]:
            self._note("switching.json", {**switching, "halted": True})
        self._stop(grace)

    def _note(self, name: str, state: dict[str, Any]) -> None:
        try:
            write_json(self.folder / name, state)
        except OSError as error:
            raise cannot_write(error, "the state of the deployment") from error

    def _stop(self, grace: float) -> None:
        stop_all([folder for folder in self.folders() if folder.supervised], grace)

    def switch(self, launch: str, grace: float, goes_on: Callable[[], bool]) -> None:
        """Stop what runs, and start another launch; `begin_switch` and `halt` come first.

        Args:
            launch: ID of the launch.
            grace: Seconds in which processes may end in order.
            goes_on: Whether anybody still wants it.

        Raises:
            RemoteError: If that cannot be done; revert then.
        """
        if not goes_on():
            return
        try:
            self.halt(grace)
            if goes_on():
                self._start(launch)
        except OSError as error:
            raise cannot_write(error, "the state of the deployment") from error

    def ready(
        self,
        launch: str,
        timeout: float,
        goes_on: Callable[[], bool],
        say: Callable[[dict[str, Any]], None],
    ) -> dict[str, Any] | None:
        """Wait until all processes of a launch are ready, or have finished.

        Args:
            launch: ID of the launch.
            timeout: Seconds to wait.
            goes_on: Whether anybody still waits for the answer.
            say: Is told `{"process", "reason"}` of what is waited for, when that changes.

        Returns:
            What is known of one that failed, if one did.

        Raises:
            RemoteError: 69 if they are not in time.
        """
        specs = self.launch(launch)["processes"]
        waiting = {spec["id"]: "" for spec in specs}
        began = time.monotonic()
        limits = {spec["id"]: spec.get("ready_timeout") or timeout for spec in specs}
        while waiting and goes_on():
            for spec in specs:
                if spec["id"] not in waiting:
                    continue
                state = self.process(spec["id"]).state()
                if state.state in ("failed", "stopped"):
                    return {"id": spec["id"], **state._asdict()}
                reason = self._not_ready(spec, state, launch)
                if reason is None:
                    del waiting[spec["id"]]
                elif reason != waiting[spec["id"]]:
                    waiting[spec["id"]] = reason
                    say({"process": spec["id"], "reason": reason})
            for number, reason in waiting.items():
                if time.monotonic() - began > limits[number]:
                    msg = f"process {number} is not ready after {limits[number]:g} s: {reason}"
                    raise RemoteError(UNREACHABLE, msg)
            if waiting:
                time.sleep(_PAUSE)
        return None

    def first_failure(
        self, launch: str, seconds: float, goes_on: Callable[[], bool]
    ) -> dict[str, Any] | None:
        """Wait for a process that failed for a reason of its own, after which others lost it.

        Args:
            launch: ID of the launch.
            seconds: How long, unless all processes have ended before.
            goes_on: Whether anybody still waits for the answer.

        Returns:
            What is known of it, if there is one here.
        """
        numbers = [spec["id"] for spec in self.launch(launch)["processes"]]
        until = time.monotonic() + seconds
        while goes_on():
            states = [(number, self.process(number).state()) for number in numbers]
            for number, state in states:
                if state.state == "failed" and state.exit_code != LOST:
                    return {"id": number, **state._asdict()}
            if all(state.state in ENDED for _, state in states) or time.monotonic() > until:
                break
            time.sleep(_PAUSE)
        return None

    def commit(self, launch: str) -> None:
        """Make a launch the one that counts, and remove what came before."""
        desired = "running" if self.launch(launch)["processes"] else "gone"
        current = {
            "release": self.launch(launch)["release"],
            "launch": launch,
            "desired": desired,
            "since": time.time(),
        }
        self._note("current.json", current)
        self.forget_switch()

    def revert(self) -> None:
        """Undo a switch that was not committed: what ran before runs again.

        Raises:
            RemoteError: If it cannot be stopped or started; the switch stays to be undone.
        """
        switching = self.switching
        if switching is None:
            self.forget_switch()
        else:
            self._go_back(switching)

    def mend(self) -> dict[str, Any] | None:
        """Put right what a deploy has left that was cut off.

        Returns:
            Nothing if there was nothing, else `{"problem"}`: why what ran before cannot be
            started again, or null. That keeps nobody from bringing a release that can be.

        Raises:
            RemoteError: If what runs cannot be stopped.
        """
        switching = self.switching
        if switching is None:
            return None
        try:
            self._go_back(switching)
        except _NotStartedError as error:
            self._stop(REVERT_GRACE)
            self.forget_switch()
            return {"problem": error.problem}
        return {"problem": None}

    def _go_back(self, switching: dict[str, Any]) -> None:
        if not self._runs_on(switching):
            self._stop(REVERT_GRACE)
            self._start_before(switching)
        # Other hosts may still have to go back, and what runs here loses them then.
        for folder in self.folders():
            if folder.supervised:
                folder.note_put_back()
        self.forget_switch()

    def _runs_on(self, switching: dict[str, Any]) -> bool:
        """Whether no host has stopped anything yet, so that what runs is best left alone.

        To stop it would end it on all hosts, also where nobody knows of a switch. If another host
        has stopped its part, ours ends within moments.
        """
        if switching["halted"] or not switching["running"]:
            return False
        launch = self.launch(switching["before"]["launch"])
        folders = [self.process(spec["id"]) for spec in launch["processes"]]
        until = time.monotonic() + _END_SECONDS
        while all(folder.supervised for folder in folders):
            if time.monotonic() > until:
                return True
            time.sleep(_PAUSE)
        return False

    def _start_before(self, switching: dict[str, Any]) -> None:
        before = switching["before"]
        if before is not None and switching["running"]:
            try:
                self._start(before["launch"])
            except RemoteError as error:
                raise _NotStartedError(error.exit_code, error.problem, error.fix) from error

    def tidy(self) -> None:
        """Remove launches that do not count, and all of a deployment that never came to be."""
        current = self.current
        if current is None:
            remove_tree(self.folder)
            return
        for path in _children(self.folder / "launches"):
            if path.name != current["launch"]:
                remove_tree(path)
        ids = {str(spec["id"]) for spec in self.launch(current["launch"])["processes"]}
        for folder in self.folders():
            if folder.path.name not in ids and not folder.supervised:
                remove_tree(folder.path)

    def announce_stop(self, grace: float) -> None:
        """Let all supervisors know that a stop is about to come."""
        for folder in self.folders():
            if folder.supervised:
                folder.announce_stop(grace)

    def stop(self, grace: float) -> None:
        """Stop all processes and remember that this was wanted."""
        if self.switching is not None:
            # Whatever a deploy has left that was cut off, nothing is to run.
            self._stop(REVERT_GRACE)
            self.forget_switch()
        current = self.current
        try:
            if current is not None:
                self._note("current.json", {**current, "desired": "stopped"})
        finally:
            # What can be stopped is, although it may not be remembered.
            self.halt(grace)

    def _start(self, launch: str) -> None:
        data = self.launch(launch)
        agent = self.root.layer(data["agent"]) if data["processes"] else Path()
        supervisors = []
        for spec in data["processes"]:
            folder = self.process(spec["id"])
            supervisors.append((folder, folder.start(self.launch_file(launch), agent)))
        for folder, supervisor in supervisors:
            folder.started(supervisor)

    def _not_ready(self, spec: dict[str, Any], state: State, launch: str) -> str | None:
        if state.state == "finished":
            return None
        answer = self.ask(spec, launch)
        return None if answer.ready else answer.reason


def _children(folder: Path) -> Iterable[Path]:
    with contextlib.suppress(OSError):
        return list(folder.iterdir())
    return ()
