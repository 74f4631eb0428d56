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

FLOW, PHASE, HOST, STATE, ACTION = sys.argv[1:]


class Saboteur(Silent):
    done = False

    def phase(self, name: PhaseName, host: str | None, state: PhaseState, detail: str = "") -> None:
        if self.done or (name, host or "-", state) != (PHASE, HOST, STATE):
            return
        self.done = True
        if ACTION == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        elif ACTION == "interrupt":
            os.kill(os.getpid(), signal.SIGINT)
        else:
            print("now", flush=True)
            sys.stdin.readline()


progress = Saboteur()
try:
    Deployment.load("inventory.toml", progress=progress).deploy(FLOW)
    code = 0
except CtlError as error:
    print(error, file=sys.stderr)
    code = error.exit_code
except KeyboardInterrupt:
    code = 130
if not progress.done:
    sys.exit(f"{PHASE} {HOST} {STATE} never came")
os._exit(code)
