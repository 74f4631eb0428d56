"""Deploys, and has something happen at one point of it; a program that tests run.

    saboteur.py FLOW PHASE HOST STATE ACTION

HOST is a name, or `-` for the phase of all hosts. ACTION is `kill` (this program, with -9),
`interrupt` (Ctrl-C), or `wait` (print a line and wait for another on stdin).
"""

import os
import signal
import sys

from ctl import Deployment
from ctl.errors import CtlError
from ctl.progress import PhaseName, PhaseState, Silent


class Saboteur(Silent):
    def __init__(self, point: tuple[str, str, str], action: str) -> None:
        self.done = False
        self._point = point
        self._action = action

    def phase(self, name: PhaseName, host: str | None, state: PhaseState, detail: str = "") -> None:
        if self.done or (name, host or "-", state) != self._point:
            return
        self.done = True
        if self._action == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        elif self._action == "interrupt":
            os.kill(os.getpid(), signal.SIGINT)
        else:
            print("now", flush=True)
            sys.stdin.readline()


def main(flow: str, phase: str, host: str, state: str, action: str) -> int:
    progress = Saboteur((phase, host, state), action)
    code = 0
    try:
        Deployment.load("inventory.toml", progress=progress).deploy(flow)
    except CtlError as error:
        print(error, file=sys.stderr)
        code = error.exit_code
    except KeyboardInterrupt:
        code = 130
    if not progress.done:
        sys.exit(f"{phase} {host} {state} never came")
    return code


if __name__ == "__main__":
    ended = main(*sys.argv[1:])
    sys.stderr.flush()
    # A thread that waits for a host which is gone keeps nobody.
    os._exit(ended)
