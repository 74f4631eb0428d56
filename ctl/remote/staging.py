"""Lay out what the processes of a launch will be given, and see that they can run."""

import os
from pathlib import Path
from typing import Any

from ctl.remote.deployments import Deployment
from ctl.remote.errors import CANNOT_WRITE, RemoteError, cannot_write
from ctl.remote.hiding import Hiding
from ctl.remote.root import write_json
from ctl.remote.words import fill_in


def stage(
    deployment: Deployment, launch: dict[str, Any], files: dict[str, str], secrets: dict[str, str]
) -> None:
    """Lay it out beside what runs, which does not notice.

    Args:
        deployment: Of this host.
        launch: `launch`, `release`, `agent`, `processes`, `checks`, `links` and `manifest`.
        files: Text by path in the launch's folder, for its owner alone.
        secrets: Values by the variables that processes get them in.

    Raises:
        RemoteError: 73 if it cannot be written; what a check of the flow ends with.
    """
    try:
        _Staging(deployment, secrets).lay_out(launch, files)
    except OSError as error:
        raise cannot_write(error, "the release") from error


class _Staging:
    def __init__(self, deployment: Deployment, secrets: dict[str, str]) -> None:
        self._deployment, self._secrets = deployment, secrets
        self._root, self._folder = deployment.root, deployment.folder

    def lay_out(self, launch: dict[str, Any], files: dict[str, str]) -> None:
        file = self._deployment.launch_file(launch["launch"])
        for name, text in files.items():
            path = file.parent / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        if self._secrets:
            write_json(file.parent / "secrets.json", self._secrets)
        for spec in launch["processes"]:
            self._resolve(spec)
        write_json(file, launch)
        self._link(launch.get("links", {}))
        for command in launch.get("prepare", ()):
            self._run(command, "what has to be prepared")
        # So that what is missing is known before anything stops.
        for check in launch.get("checks", ()):
            self._run(check, "the check of the flow", "keep long work out of its module")
        # Last, since it says that the release was checked.
        write_json(self._root.release(launch["release"]), launch["manifest"])

    def _resolve(self, spec: dict[str, Any]) -> None:
        """Fill in what only this host knows: paths in the root, and the user's environment."""
        resolved = [self._word(word) for word in spec["argv"]]
        env = {name: self._word(value) for name, value in spec["env"].items()}
        spec["argv"], spec["env"] = resolved, {**_inherited(), **env}
        workdir = spec["cwd"]
        spec["cwd"] = str(Path(workdir).expanduser() if workdir else self._folder / "work")
        spec["ready"] = {
            key: self._word(value) if isinstance(value, dict) else value
            for key, value in spec["ready"].items()
        }

    def _word(self, word: Any) -> str:
        return fill_in(word, self._root.place)

    def _link(self, links: dict[str, list[str]]) -> None:
        """Show included files in the working directory, where a flow looks for them."""
        for name, parts in links.items():
            path = self._folder / "work" / name
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

    def _run(self, command: dict[str, Any], what: str, fix: str = "") -> None:
        """Run a command to its end.

        Raises:
            RemoteError: If it fails, with its exit code and what it says.
        """
        # Slow to import, and most sessions run nothing.
        from ctl.remote.commands import run

        self._resolve(command)
        env = {**command["env"], **self._secrets}
        hiding = Hiding(self._secrets)
        run({**command, "env": env}, self._folder, what, fix, hiding=hiding)


def _inherited() -> dict[str, str]:
    """The environment of the user, without what belongs to this SSH session."""
    return {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("SSH_", "ENGINE_")) and name not in ("_", "OLDPWD", "SHLVL", "PWD")
    }
