"""Run `uv`, which resolves and downloads."""

import os
import subprocess
import sys
from collections import deque
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, NamedTuple

from ctl.errors import InstallationError

_KEPT_LINES = 200


class Ended(NamedTuple):
    """How it has ended.

    Args:
        code: Exit code.
        output: What it printed.
        complaint: What it said on stderr.
    """

    code: int
    output: str
    complaint: str


def run_uv(
    *words: str, folder: Path, text: str = "", say: Callable[[str], None] | None = None
) -> Ended:
    """Run it to its end.

    Args:
        words: Its arguments.
        folder: Where; settings in it count.
        text: What it reads.
        say: Is told each line of what it says on stderr, as it comes.

    Raises:
        InstallationError: If it is not installed.
    """
    command = [_binary(), *words, "--color", "never", "--no-progress"]
    # A host's Python is not needed here, and to download one would take long.
    env = {**os.environ, "UV_PYTHON_DOWNLOADS": "never"}
    env.pop("VIRTUAL_ENV", None)
    with (
        _holding(text) as given,
        TemporaryFile() as output,
        subprocess.Popen(  # noqa: S603  # what we make up ourselves
            command,
            cwd=folder,
            env=env,
            stdin=given,
            stdout=output,
            stderr=subprocess.PIPE,
            encoding="utf-8",
            errors="replace",
        ) as process,
    ):
        assert process.stderr is not None
        lines: deque[str] = deque(maxlen=_KEPT_LINES)
        try:
            for line in process.stderr:
                lines.append(line)
                if say is not None:
                    say(line.strip())
        except BaseException:
            process.kill()
            raise
        code = process.wait()
        output.seek(0)
        text = output.read().decode("utf-8", "replace")
    return Ended(code, text, "".join(lines).strip())


def _holding(text: str) -> IO[bytes]:
    file = TemporaryFile()  # noqa: SIM115  # the caller closes it
    file.write(text.encode("utf-8", "surrogateescape"))
    file.seek(0)
    return file


def interpreter() -> tuple[str, str]:
    """The words that have it look for no Python."""
    return "--python", sys.executable


def _binary() -> str:
    try:
        from uv import find_uv_bin

        return str(find_uv_bin())
    except (ImportError, FileNotFoundError):
        msg = "uv is not installed, which fetches what a flow requires"
        raise InstallationError(msg, 'pip install "hostmesh[ctl]"') from None
