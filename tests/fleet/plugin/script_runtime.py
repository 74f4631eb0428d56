"""A runtime as another package may bring it: runs a Python script, and starts it again.

With this folder on `PYTHONPATH`, `runtime = "script"` in an inventory means it. It is light, and
its processes know nothing of each other. A script finds its process id in `PROCESS`. It is ready
at once, or when it has printed what `ready_line` in the inventory matches.
"""

from collections.abc import Mapping
from pathlib import Path

from ctl.inventory import Check
from ctl.runtimes import Command, PlainRuntime, ProcessContext, place

FOLDER = Path(__file__).parent

# Runs on a host: the arguments are the health socket and the script.
PROGRAM = """
import json, os, runpy, socket, sys, threading

path, script = sys.argv[1:]
sys.argv[:] = [script]
os.makedirs(os.path.dirname(path), exist_ok=True)
folder = os.open(os.path.dirname(path), os.O_RDONLY)
short = f"/proc/self/fd/{folder}/{os.path.basename(path)}"
if os.path.lexists(short):
    os.unlink(short)
listener = socket.socket(socket.AF_UNIX)
listener.bind(short)
listener.listen()

def answer():
    while True:
        connection, _ = listener.accept()
        with connection:
            connection.recv(4096)
            status = {"ready": True, "reason": None, "items_in": 0, "items_out": 0}
            body = json.dumps({**status, "last_error": None}).encode()
            connection.sendall(b"HTTP/1.0 200 OK\\r\\n\\r\\n" + body)

threading.Thread(target=answer, daemon=True).start()
runpy.run_path(script, run_name="__main__")
"""


class ScriptRuntime(PlainRuntime):
    """`python -c`, with a few lines around the script that say that it is ready."""

    name = "script"
    options: Mapping[str, Check] = {"ready_line": str}

    def process(self, context: ProcessContext) -> Command:
        socket = context.of_process("health.sock")
        script = place("layers", context.layers.code, context.flow)
        return Command(
            ({"python": None}, "-P", "-u", "-c", PROGRAM, socket, script),
            {"PROCESS": str(context.process.id)},
            ready=(
                {"kind": "log", "pattern": pattern}
                if (pattern := context.options.get("ready_line"))
                else {"kind": "health", "socket": socket}
            ),
            restart={"codes": [69, 70, 74, 75], "signals": True},
        )

    def check(self, context: ProcessContext) -> Command | None:
        return None

    def cause(self, tail: str) -> str:
        return tail
