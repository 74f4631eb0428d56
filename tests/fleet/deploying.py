"""Have a deploy wait at one of its phases while something else happens."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.fleet.hosts import Ran
from tests.fleet.site import Site

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
        return Ran(self._process.args, self._process.returncode, out, f"error: {err}")

    def kill(self) -> None:
        """End it at once, with -9."""
        self._process.kill()
        self._process.communicate()


@contextmanager
def deploying(site: Site, phase: str, *, user: str = "somebody") -> Iterator[Deploying]:
    """Have a deploy of `flow.py` wait where a phase begins on the host alpha.

    Args:
        site: The operator.
        phase: Of a deploy.
        user: Name of the operator.
    """
    path = os.pathsep.join([str(ROOT), *filter(None, [site.env.get("PYTHONPATH")])])
    process = subprocess.Popen(
        [sys.executable, SABOTEUR, "flow.py", phase, "alpha", "started", "wait"],
        cwd=site.folder,
        env={**os.environ, **site.env, "PYTHONPATH": path, "LOGNAME": user},
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
