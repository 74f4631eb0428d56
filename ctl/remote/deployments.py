"""What is known of one deployment on this host."""

import contextlib
from pathlib import Path
from typing import Any

from ctl.remote.hiding import Hiding
from ctl.remote.lock import holder
from ctl.remote.probes import Answer
from ctl.remote.processes import ProcessFolder, State
from ctl.remote.root import Root, read_json


class Deployment:
    """One deployment on this host.

    Args:
        root: Of this host.
        name: Of the deployment.
    """

    def __init__(self, root: Root, name: str) -> None:
        self.root = root
        self.folder = root.deployment(name)
        self._hidings: dict[str, Hiding] = {}

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
        return read_json(self.launch_file(launch)) or {"processes": [], "release": None}

    def launch_file(self, launch: str) -> Path:
        """The file with that, in the folder with the rest of what they are given."""
        return self.folder / "launches" / launch / "launch.json"

    def folders(self) -> list[ProcessFolder]:
        """The processes that there are or were, by their IDs."""
        with contextlib.suppress(OSError):
            paths = [each for each in (self.folder / "processes").iterdir() if each.name.isdigit()]
            return [ProcessFolder(each) for each in sorted(paths, key=lambda path: int(path.name))]
        return []

    def process(self, number: int) -> ProcessFolder:
        """One process."""
        return ProcessFolder(self.folder / "processes" / str(number))

    def ports(self) -> list[tuple[int, bool]]:
        """Ports that processes of this deployment and their relays hold just now.

        Each with whether it does no harm to connect to it, as who listens there is ready for
        strangers.
        """
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

    def ask(self, spec: dict[str, Any], launch: str) -> Answer:
        """How a process is, in its own words, but for the values of secrets."""
        answer = self.process(spec["id"]).ask(spec)
        if not answer.reason and answer.last_error is None:
            return answer
        hiding = self._hiding_of(launch)
        error = None if answer.last_error is None else hiding.inside(answer.last_error)
        return answer._replace(reason=hiding.inside(answer.reason), last_error=error)

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

    def _hiding_of(self, launch: str) -> Hiding:
        if launch not in self._hidings:
            secrets = read_json(self.launch_file(launch).with_name("secrets.json"))
            self._hidings[launch] = Hiding(secrets or {})
        return self._hidings[launch]

    def _manifest(self, current: dict[str, Any] | None) -> dict[str, Any] | None:
        if current is None or current.get("release") is None:
            return None
        return read_json(self.root.release(current["release"]))

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
        data["lag_s"] = None
        if state.state == "running":
            answer = self.ask(spec, shown["launch"])
            data["items_in"], data["items_out"] = answer.items_in, answer.items_out
            data["last_error"], data["lag_s"] = answer.last_error, answer.lag_s
            if not answer.ready:
                data["state"], data["note"] = "starting", answer.reason
        return data


def _ports(spec: dict[str, Any]) -> list[tuple[int, bool]]:
    mesh = spec.get("listens")
    found = [(mesh[1], bool(spec.get("guarded")))] if mesh else []
    if relay := spec.get("relay"):
        places = [relay["engine"], *(each["local"] for each in relay["peers"])]
        found += [(place[1], False) for place in places]
    return found
