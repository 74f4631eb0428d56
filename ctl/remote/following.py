"""Send logs of a deployment's processes, from where the operator has left off."""

import time
from collections.abc import Callable
from typing import Any

from ctl.remote.deployments import Deployment
from ctl.remote.logfile import Cursor, read, start_of_last, start_since
from ctl.remote.processes import ProcessFolder
from ctl.remote.root import read_json

_PAUSE = 0.05
"""Seconds between two looks: what a process writes meanwhile is one message."""

Send = Callable[[dict[str, Any], bytes], None]


def send_logs(
    deployment: Deployment,
    wanted: dict[str, Any],
    send: Send,
    goes_on: Callable[[], bool],
) -> None:
    """Send lines that are there and, to follow, those that come.

    Args:
        deployment: Whose logs.
        wanted: `processes` (IDs, or null for all), and where to start: `cursors` by ID, `since`
            (text of a time), `lines` (the last ones of each process), both of these, or
            `of_launch` (what was written since the processes were last started by a deploy);
            `follow`, whether to go on; `until_ended`, whether to stop when no process runs any
            more.
        send: Takes `{"process", "cursor"}` and whole lines; `{"caught_up"}` once all that was
            there has gone, if more is to come.
        goes_on: Whether the operator still listens.
    """
    cursors: dict[str, Cursor] = {
        name: (int(at[0]), int(at[1])) for name, at in (wanted.get("cursors") or {}).items()
    }
    follows = wanted.get("follow")
    first = True
    while True:
        # Looked at before the lines are read: what ended has written all that will be there.
        ended = not any(folder.supervised for folder in deployment.folders())
        for folder in _folders(deployment, wanted.get("processes")):
            name = folder.path.name
            if name not in cursors:
                cursors[name] = _start(folder, wanted) if first else (0, 0)
                # Known there even before the first line: whoever comes back misses none.
                send({"process": int(name), "cursor": list(cursors[name])}, b"")
            for data, cursor in read(folder.log, cursors[name]):
                cursors[name] = cursor
                send({"process": int(name), "cursor": list(cursor)}, data)
                if not goes_on():
                    return
        if first and follows:
            send({"caught_up": True}, b"")
        first = False
        if not follows or not goes_on() or (ended and wanted.get("until_ended")):
            return
        time.sleep(_PAUSE)


def _folders(deployment: Deployment, processes: list[int] | None) -> list[ProcessFolder]:
    folders = deployment.folders()
    if processes is None:
        return folders
    return [folder for folder in folders if int(folder.path.name) in processes]


def _start(folder: ProcessFolder, wanted: dict[str, Any]) -> Cursor:
    since, lines = wanted.get("since"), wanted.get("lines")
    if wanted.get("of_launch"):
        state = read_json(folder.path / "state.json") or {}
        segment, offset = state.get("log_start", (0, 0))
        return int(segment), int(offset)
    starts: list[Cursor] = []
    if since is not None:
        starts.append(start_since(folder.log, since))
    if lines is not None:
        starts.append(start_of_last(folder.log, lines))
    return max(starts, default=(0, 0))
