"""Run a command of a launch to its end: the check of a flow, or what has to be prepared."""

import contextlib
import os
import re
import signal
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

from ctl.remote.errors import FAILED, RemoteError
from ctl.remote.hiding import Hiding

_SECONDS = 120.0
_PAUSE = 0.005

_ABSENT_MODULE = re.compile(r"ModuleNotFoundError: No module named '([^']+)'$")
_FRAME = re.compile(r'File "[^"]*/layers/[0-9a-f]{64}/([^"]+)", line (\d+)')


def run(command: dict[str, Any], folder: Path, what: str, fix: str = "", *, hiding: Hiding) -> None:
    """Run a command, with all that it starts.

    Args:
        command: `argv`, `env` and `cwd`, with nothing left to fill in.
        folder: Where what it says is kept meanwhile.
        what: What it is, for a sentence.
        fix: What to do if it takes too long.
        hiding: Takes secrets out of what it says.

    Raises:
        RemoteError: If it fails, with its exit code and what it says.
    """
    Path(command["cwd"]).mkdir(parents=True, exist_ok=True)
    try:
        code, complaint = _run(command, folder)
    except subprocess.TimeoutExpired:
        msg = f"{what} has not ended after {_SECONDS:g} s"
        raise RemoteError(FAILED, msg, fix) from None
    except OSError as error:
        msg = f"cannot run {command['argv'][0]}: {error.strerror}"
        raise RemoteError(FAILED, msg) from None
    if code:
        exit_code = code if code > 0 else FAILED
        said = "\n" + hiding(complaint).decode("utf-8", "replace").strip()
        if absent := _ABSENT_MODULE.search(said):
            raise _absent_module(exit_code, absent[1], said)
        # The sentence comes last, and is what the operator is to read first.
        details, _, sentence = said.rpartition("\nerror: ")
        text = f"{sentence}{details}".strip() or f"{what} ended with {code}"
        raise RemoteError(exit_code, text)


def _absent_module(code: int, module: str, traceback: str) -> RemoteError:
    """What an operator can do about a module that is not there."""
    frames = _FRAME.findall(traceback)
    who = "{}, line {},".format(*frames[-1]) if frames else "the flow"
    fix = "name it in `include`, if it is a file of yours"
    if "." not in module:
        # Else the package is there, and may be no other than yours.
        required = f'as in requirements = ["{module}"] in the inventory'
        fix = f"require the package that has it, {required}, or {fix}"
    return RemoteError(code, f"{who} imports `{module}`, which is not there", fix)


def _run(command: dict[str, Any], folder: Path) -> tuple[int, bytes]:
    """Give the exit code and the stderr."""
    # No pipe: what user code has started may hold one open for ever.
    with tempfile.TemporaryFile(dir=folder) as complaints:
        process = subprocess.Popen(  # noqa: S603  # what the operator has asked to run
            command["argv"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=complaints,
            cwd=command["cwd"],
            env=command["env"],
            start_new_session=True,
        )
        try:
            _await_end(process)
        finally:
            # Its number is its group's as long as nobody has waited for it.
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            code = process.wait()
        complaints.seek(0)
        return code, complaints.read()


def _await_end(process: "subprocess.Popen[bytes]") -> None:
    until = time.monotonic() + _SECONDS
    while os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
        if time.monotonic() > until:
            raise subprocess.TimeoutExpired(process.args, _SECONDS)
        time.sleep(_PAUSE)
