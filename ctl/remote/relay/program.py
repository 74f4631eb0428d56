"""The relay as a program, started by the supervisor of its process.

    program <file with the launch> <ID of the process>

On stderr it writes `ready` once it listens, and what goes wrong. When its stdin ends it takes
nothing new, and it ends when nothing is left to be carried.
"""

import os
import resource
import signal
import sys
from pathlib import Path

from ctl.remote.errors import UNREACHABLE
from ctl.remote.relay.loop import IN, Loop
from ctl.remote.relay.relay import ListenError, Relay
from ctl.remote.relay.settings import Settings
from ctl.remote.root import read_json


def main(arguments: list[str]) -> None:
    """Run the program."""
    file, process = Path(arguments[0]), int(arguments[1])
    # Whoever ends all processes of a user must not take the mesh from engines that end in order.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    launch = read_json(file)
    assert launch is not None, f"no launch in {file}"
    spec = next(each for each in launch["processes"] if each["id"] == process)
    loop = Loop()
    try:
        settings = Settings.of(process, spec["relay"], file.parent)
        relay = Relay(settings, loop, _write)
    except (ListenError, OSError) as error:
        _write(str(error))
        sys.exit(UNREACHABLE)

    def asked(_events: int) -> None:
        if not os.read(0, 64):
            loop.ignore(0)
            relay.drain()

    loop.watch(0, IN, asked)
    _write("ready")
    loop.run()


def _write(line: str) -> None:
    os.write(2, f"{line}\n".encode("utf-8", "replace"))
