"""Say once, last, why a run failed: on stderr, or to the launcher."""

import os
import sys

from engine.failure import Failure

_SETTLED_BEFORE_THE_RUN = (64, 65, 66, 78)
"""Exit codes of what depends on no process and no time, so that neither is worth a word."""


def describe(failure: Failure) -> str:
    """What is printed of a failure, without a newline at its end."""
    if failure.exit_code in _SETTLED_BEFORE_THE_RUN:
        return f"{failure.traceback}error: {failure.message}"
    # One that says nothing is a program of somebody else.
    if failure.exit_code == 1 and failure.step is None and failure.traceback:
        return f"{failure.traceback}error: {failure.kind}: this is a bug in hostmesh"
    return failure.render()


def report(failure: Failure, report_fd: int | None) -> None:
    """Hand a failure to the launcher, if there is one, or print it."""
    if report_fd is None:
        # Either may be closed, and then it is None.
        if sys.stdout is not None:
            sys.stdout.flush()
        if sys.stderr is not None:
            # What user code printed may lack the end of its line.
            gap = "\n" if failure.step is not None else ""
            sys.stderr.write(f"{gap}{describe(failure)}\n")
            sys.stderr.flush()
        return
    # Only a launched process reports in JSON.
    import json

    with os.fdopen(report_fd, "wb") as pipe:
        pipe.write(json.dumps(failure.to_json()).encode() + b"\n")
