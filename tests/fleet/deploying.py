"""Have a deploy wait at one point of its phases while something else happens."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.fleet.hosts import Ran
from tests.fleet.site import CLEARED, Site

SABOTEUR = Path(__file__).with_name("saboteur.py")
ROOT = Path(__file__).parents[2]
SECONDS = 60.0


class Deploying:
    """A deploy that waits."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self._process = process

    def go_on(self) -> Ran:
        """Let it come to its end."""
        out, err = self._process.communicate("\n", timeout=SECONDS)
        return Ran(self._process.args, self._process.returncode, out, err)

    def interrupt(self) -> Ran:
        """Press Ctrl-C, and let it come to its end."""
        self._process.send_signal(signal.SIGINT)
        return self.go_on()

    def kill(self) -> None:
        """End it at once, with -9."""
        self._process.kill()
        self._process.communicate()


@contextmanager
def deploying(
    site: Site,
    phase: str,
    where: str = "alpha",
    state: str = "started",
    *,
    user: str = "somebody",
) -> Iterator[Deploying]:
    """Have `ctl deploy inventory.toml flow.py` wait at a point.

    Args:
        site: The operator.
        phase: Of a deploy.
        where: The name of a host, or `-` for the phase of all hosts.
        state: Of the phase, `started` or `done`.
        user: Name of the operator.
    """
    path = os.pathsep.join([*filter(None, [site.env.get("PYTHONPATH")]), str(ROOT)])
    environ = {name: value for name, value in os.environ.items() if name not in CLEARED}
    process = subprocess.Popen(
        [
            *(sys.executable, SABOTEUR, phase, where, state),
            *("deploy", "inventory.toml", "flow.py"),
        ],
        cwd=site.folder,
        env={**environ, **site.env, "PYTHONPATH": path, "LOGNAME": user},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        said = process.stdout.readline()
        assert said == "now\n", process.communicate()
        yield Deploying(process)
    finally:
        process.kill()
        process.wait()
        for pipe in (process.stdin, process.stdout, process.stderr):
            if pipe is not None:
                pipe.close()
