"""What changes and what is known of one deployment on this host.

A change is *staged* beside what runs, *switched* to, and then *committed* or *reverted*. The file
`switching.json` is there between a switch and its end, so that whoever comes after a crash
knows what to put right.
"""

import contextlib
import os
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from ctl.remote.errors import CANNOT_WRITE, UNREACHABLE, RemoteError, cannot_write
from ctl.remote.lock import holder
from ctl.remote.processes import ProcessFolder, State, stop_all
from ctl.remote.removing import remove_tree
from ctl.remote.root import Root, read_json, write_json
from ctl.remote.words import fill_in

_PAUSE = 0.02
_END_SECONDS = 3.0
"""How long an end in order takes from one host to the next, at most."""

REVERT_GRACE = 10.0
"""Seconds that processes have to end in order when a switch is undone."""


class Deployment:
    """One deployment on this host.

    Args:
        root: Of this host.
        name: Of the deployment.
    """

    def __init__(self, root: Root, name: str) -> None:
        self._root = root
        self.folder = root.deployment(name)

    # What there is.

    @property
    def current(self) -> dict[str, Any] | None:
        """`release`, `launch` and `desired` of what counts here."""
        return read_json(self.folder / "current.json")

    @property
    def switching(self) -> dict[str, Any] | None:
        """`launch` that was switched to, `before` and `running`, while that is not settled."""
        switching, current = read_json(self.folder / "switching.json"), self.current
        if switching is not None and current is not None:
            # A commit that was cut off right before its last step is one.
            return None if switching["launch"] == current["launch"] else switching
        return switching

    def launch(self, launch: str) -> dict[str, Any]:
        """What the processes of one start are given."""
        return read_json(self._launch_file(launch)) or {"processes": [], "release": None}

    def folders(self) -> list[ProcessFolder]:
        """The processes that there are or were, by their IDs."""
        with contextlib.suppress(OSError):
            paths = [each for each in (self.folder / "processes").iterdir() if each.name.isdigit()]
            return [ProcessFolder(each) for each in sorted(paths, key=lambda path: int(path.name))]
        return []

    def process(self, number: int) -> ProcessFolder:
        """One process."""
        return ProcessFolder(self.folder / "processes" / str(number))

    def ports(self) -> list[int]:
        """Ports that processes of this deployment and their relays hold just now."""
        running = [folder for folder in self.folders() if folder.supervised]
        names = {folder.path.name for folder in running}
        launches = {folder.state().launch for folder in running}
        return sorted(
            {
                port
                for launch in launches
                if launch
                for spec in self.launch(launch)["processes"]
                if str(spec["id"]) in names
                for port in _ports(spec)
            }
        )

    def status(self) -> dict[str, Any]:
        """All that is known, ready for JSON."""
        current, switching = self.current, self.switching
        changing = holder(self.folder)
        shown = current
        if switching is not None and changing is not None:
            shown = {"launch": switching["launch"], "desired": "running"}
        processes = []
        if shown is not None:
            launch = self.launch(shown["launch"])
            processes = self._statuses(launch["processes"], shown)
        return {
            "current": current,
            "manifest": self._manifest(current),
            "changing": changing,
            "cut_off": switching is not None and changing is None,
            "processes": processes,
        }

    def _manifest(self, current: dict[str, Any] | None) -> dict[str, Any] | None:
        if current is None or current.get("release") is None:
            return None
        return read_json(self._root.release(current["release"]))

    def _statuses(self, specs: list[dict[str, Any]], shown: dict[str, Any]) -> list[dict[str, Any]]:
        if len(specs) < 2:
            return [self._status(spec, shown) for spec in specs]
        # Slow to import. One after the other, those that hang would each take their time.
        from concurrent.futures import ThreadPoolExecutor

        with ThreadPoolExecutor(len(specs)) as pool:
            return list(pool.map(lambda spec: self._status(spec, shown), specs))

    def _status(self, spec: dict[str, Any], shown: dict[str, Any]) -> dict[str, Any]:
        folder = self.process(spec["id"])
        state = folder.state()
        if state.launch not in (None, shown["launch"]):
            state = State()
        data: dict[str, Any] = {"id": spec["id"], "address": spec["address"]}
        data |= state._asdict() | {"workers": spec["workers"], "items_in": None, "items_out": None}
        if state.state == "running":
            answer = folder.ask(spec)
            data["items_in"], data["items_out"] = answer.items_in, answer.items_out
            data["last_error"] = answer.last_error
            if not answer.ready:
                data["state"], data["note"] = "starting", answer.reason
        return data

    # What changes it.

    def stage(self, launch: dict[str, Any], files: dict[str, str], secrets: dict[str, str]) -> None:
        """Lay out what processes will be given; nothing that runs notices.

        Args:
            launch: `launch`, `release`, `agent`, `processes`, `checks`, `links` and `manifest`.
            files: Text by path in the launch's folder, for its owner alone.
            secrets: Values by the variables that processes get them in.

        Raises:
            RemoteError: 73 if it cannot be written; what a check of the flow ends with.
        """
        folder = self._launch_file(launch["launch"]).parent
        try:
            for name, text in files.items():
                path = folder / name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(text, encoding="utf-8")
            if secrets:
                write_json(folder / "secrets.json", secrets)
            for spec in launch["processes"]:
                self._resolve(spec)
            write_json(self._launch_file(launch["launch"]), launch)
            self._link(launch.get("links", {}))
            for command in launch.get("prepare", ()):
                self._run(command, secrets, "what has to be prepared")
            self._check(launch, secrets)
            # Last, since it says that the release was checked.
            write_json(self._root.release(launch["release"]), launch["manifest"])
        except OSError as error:
            raise cannot_write(error, "the release") from error

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
        try:
            write_json(self.folder / "switching.json", journal)
        except OSError as error:
            raise cannot_write(error, "the state of the deployment") from error

    def forget_switch(self) -> None:
        """Take back that a switch was to come; nothing was stopped."""
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
            try:
                write_json(self.folder / "switching.json", {**switching, "halted": True})
            except OSError as error:
                raise cannot_write(error, "the state of the deployment") from error
        self._stop(grace)

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
                reason = self._not_ready(spec, state)
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

    def commit(self, launch: str) -> None:
        """Make a launch the one that counts, and remove what came before."""
        desired = "running" if self.launch(launch)["processes"] else "gone"
        current = {
            "release": self.launch(launch)["release"],
            "launch": launch,
            "desired": desired,
            "since": time.time(),
        }
        try:
            write_json(self.folder / "current.json", current)
        except OSError as error:
            raise cannot_write(error, "the state of the deployment") from error
        (self.folder / "switching.json").unlink(missing_ok=True)

    def revert(self) -> None:
        """Undo a switch that was not committed: what ran before runs again.

        Raises:
            RemoteError: If it cannot be stopped or started; the switch stays to be undone.
        """
        switching = self.switching
        if switching is not None and not self._runs_on(switching):
            self._stop(REVERT_GRACE)
            self._start_before(switching)
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
            self._start(before["launch"])

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
        self.mend(start=False)
        current = self.current
        try:
            if current is not None:
                write_json(self.folder / "current.json", {**current, "desired": "stopped"})
        except OSError as error:
            raise cannot_write(error, "the state of the deployment") from error
        finally:
            # What can be stopped is, although it may not be remembered.
            self.halt(grace)

    def mend(self, *, start: bool = True) -> dict[str, Any] | None:
        """Put right what a deploy has left that was cut off.

        Args:
            start: Whether what ran before is started again.

        Returns:
            Nothing if there was nothing, else `{"problem"}`: why what ran before cannot be
            started again, or null. That keeps nobody from bringing a release that can be.

        Raises:
            RemoteError: If what runs cannot be stopped.
        """
        switching = self.switching
        if switching is None:
            return None
        problem = None
        if start and self._runs_on(switching):
            self.forget_switch()
            return {"problem": None}
        self._stop(REVERT_GRACE)
        if start:
            try:
                self._start_before(switching)
            except RemoteError as error:
                self._stop(REVERT_GRACE)
                problem = error.problem
        self.forget_switch()
        return {"problem": problem}

    def _launch_file(self, launch: str) -> Path:
        return self.folder / "launches" / launch / "launch.json"

    def _resolve(self, spec: dict[str, Any]) -> None:
        """Fill in what only this host knows: paths in the root, and the user's environment."""
        resolved = [self._word(word) for word in spec["argv"]]
        env = {name: self._word(value) for name, value in spec["env"].items()}
        spec["argv"], spec["env"] = resolved, {**_inherited(), **env}
        workdir = spec["cwd"]
        spec["cwd"] = str(Path(workdir).expanduser() if workdir else self.folder / "work")
        spec["ready"] = {
            key: self._word(value) if isinstance(value, dict) else value
            for key, value in spec["ready"].items()
        }

    def _word(self, word: Any) -> str:
        return fill_in(word, self._root.place)

    def _link(self, links: dict[str, list[str]]) -> None:
        """Show included files in the working directory, where a flow looks for them."""
        for name, parts in links.items():
            path = self.folder / "work" / name
            target = Path(self._root.place(parts))
            if path.is_symlink():
                if path.readlink() == target:
                    continue
                path.unlink()
            elif path.exists():
                msg = f"{path} is in the way of the included file {name}"
                raise RemoteError(CANNOT_WRITE, msg, "move it away, or leave it out of `include`")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.symlink_to(target)

    def _check(self, launch: dict[str, Any], secrets: dict[str, str]) -> None:
        """Have the flow loaded, so that what is missing is known before anything stops."""
        for check in launch.get("checks", ()):
            self._run(check, secrets, "the check of the flow", "keep long work out of its module")

    def _run(
        self, command: dict[str, Any], secrets: dict[str, str], what: str, fix: str = ""
    ) -> None:
        """Run a command to its end.

        Raises:
            RemoteError: If it fails, with its exit code and what it says.
        """
        # Slow to import, and most sessions run nothing.
        from ctl.remote.commands import run

        self._resolve(command)
        run({**command, "env": {**command["env"], **secrets}}, self.folder, what, fix)

    def _start(self, launch: str) -> None:
        data = self.launch(launch)
        agent = self._root.layer(data["agent"]) if data["processes"] else Path()
        supervisors = []
        for spec in data["processes"]:
            folder = self.process(spec["id"])
            supervisors.append((folder, folder.start(self._launch_file(launch), agent)))
        for folder, supervisor in supervisors:
            folder.started(supervisor)

    def _not_ready(self, spec: dict[str, Any], state: State) -> str | None:
        if state.state == "finished":
            return None
        answer = self.process(spec["id"]).ask(spec)
        return None if answer.ready else answer.reason


def _ports(spec: dict[str, Any]) -> list[int]:
    relay = spec.get("relay") or {"engine": None, "peers": []}
    places = [spec.get("listens"), relay["engine"], *(each["local"] for each in relay["peers"])]
    return [place[1] for place in places if place]


def _children(folder: Path) -> Iterable[Path]:
    with contextlib.suppress(OSError):
        return list(folder.iterdir())
    return ()


def _inherited() -> dict[str, str]:
    """The environment of the user, without what belongs to this SSH session."""
    return {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("SSH_", "ENGINE_")) and name not in ("_", "OLDPWD", "SHLVL", "PWD")
    }
