"""How each contender is started: our engine, the peer, and the plain loop."""

import hashlib
import os
import re
import socket
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from benchmarks import programs
from benchmarks.measure import Launch, MeasureError, Sample, run, watch_idle

ENGINE = "engine"
BYTEWAX = "bytewax"
LOOP = "plain loop"
BARE = "python -c pass"

# A process of the peer that finds no listener asks again after a second. One that starts a
# little later finds it at once.
PEER_GAP = 0.05


@dataclass(frozen=True)
class Contender:
    """One of those that a row compares.

    Args:
        name: How the table calls it.
        measure: Runs it once; returns what it cost and a digest of the lines that it wrote, in
            any order, or `None` if there are none to compare.
    """

    name: str
    measure: Callable[[], tuple[Sample, str | None]]


class Contenders:
    """Makes contenders.

    Args:
        cache: Where programs and results are written.
        peer: The Python that has the peer, or `None` to do without.
    """

    def __init__(self, cache: Path, peer: Path | None) -> None:
        self._cache = cache
        self._peer = peer
        for root in (ENGINE, BYTEWAX):
            write_programs(self._programs(root), root)

    def ours(
        self,
        flow: str,
        source: Path | None = None,
        items: int = 0,
        *,
        flags: tuple[str, ...] = (),
        name: str = ENGINE,
    ) -> Contender:
        """A flow on our engine.

        Args:
            flow: Its module in `benchmarks.programs`.
            source: The file or directory that it reads.
            items: How many items it makes up.
            flags: For `engine.run`.
            name: How the table calls it.
        """
        command = (sys.executable, *_run(ENGINE, flow), *flags)
        return self._writer(name, ENGINE, (command,), source, items)

    def loop(self, function: str, source: Path | None = None, items: int = 0) -> Contender:
        """A function of `benchmarks.programs.plain_loops`."""
        command = (sys.executable, "-m", "benchmarks.programs.plain_loops", function)
        return self._writer(LOOP, ENGINE, (command,), source, items)

    def peers(self, flow: str, source: Path | None = None, items: int = 0) -> list[Contender]:
        """A flow on the peer, if there is one."""
        if self._peer is None:
            return []
        command = (str(self._peer), *_run(BYTEWAX, flow))
        return [self._writer(BYTEWAX, BYTEWAX, (command,), source, items)]

    def peers_two(self, flow: str, source: Path) -> list[Contender]:
        """A flow on two processes of the peer, if there is one.

        They are started directly. Its launcher for tests starts the same two commands, but
        later, and at the same moment, so that the second one often has to ask again.
        """
        if self._peer is None:
            return []
        addresses = ";".join(f"127.0.0.1:{port}" for port in _free_ports(2))
        start = (str(self._peer), *_run(BYTEWAX, flow), "-a", addresses, "-i")
        return [self._writer(BYTEWAX, BYTEWAX, ((*start, "0"), (*start, "1")), source, 0)]

    def empty(self) -> list[Contender]:
        """A flow without items on our engine and on the peer, and a Python that does nothing."""
        launches = self._on_both("empty", "flow")
        launches[BARE] = self._launch(ENGINE, ((sys.executable, "-c", "pass"),))

        def measure(launch: Launch) -> tuple[Sample, None]:
            return run(launch), None

        return [Contender(name, partial(measure, launch)) for name, launch in launches.items()]

    def idle(self, variable: str, seconds: float) -> list[Contender]:
        """A flow that waits for items, on our engine and on the peer.

        Args:
            variable: Name of the flow in `benchmarks.programs.idle`.
            seconds: How long to watch it.
        """

        def measure(launch: Launch) -> tuple[Sample, None]:
            return watch_idle(launch, self._fresh_output(), seconds), None

        launches = self._on_both("idle", variable)
        return [Contender(name, partial(measure, launch)) for name, launch in launches.items()]

    def _on_both(self, flow: str, variable: str) -> dict[str, Launch]:
        pythons = {ENGINE: sys.executable}
        if self._peer is not None:
            pythons[BYTEWAX] = str(self._peer)
        return {
            root: self._launch(root, ((python, *_run(root, flow, variable)),))
            for root, python in pythons.items()
        }

    def _writer(
        self,
        name: str,
        root: str,
        commands: tuple[tuple[str, ...], ...],
        source: Path | None,
        items: int,
    ) -> Contender:
        launch = self._launch(root, commands, source, items)

        def measure() -> tuple[Sample, str]:
            output = self._fresh_output()
            return run(launch), digest(output)

        return Contender(name, measure)

    def _launch(
        self,
        root: str,
        commands: tuple[tuple[str, ...], ...],
        source: Path | None = None,
        items: int = 0,
    ) -> Launch:
        foreign = ("PYTHON", "ENGINE_", "BYTEWAX_")
        kept = {name: value for name, value in os.environ.items() if not name.startswith(foreign)}
        environment = {
            **kept,
            "PYTHONPATH": str(self._programs(root)),
            "BENCH_INPUT": str(source or ""),
            "BENCH_OUTPUT": str(self._output),
            "BENCH_ITEMS": str(items),
        }
        return Launch(commands, environment, self._cache, PEER_GAP)

    def _programs(self, root: str) -> Path:
        # Not `root` alone: a folder of that name could be taken for the package.
        return self._cache / f"programs-{root}"

    @property
    def _output(self) -> Path:
        return self._cache / "output"

    def _fresh_output(self) -> Path:
        self._output.unlink(missing_ok=True)
        return self._output


def translate(text: str, root: str) -> str:
    """The text of a program with the root of its imports of the engine replaced."""
    return re.sub(r"^(from|import) engine\b", rf"\1 {root}", text, flags=re.MULTILINE)


def write_programs(folder: Path, root: str) -> None:
    """Write the package `benchmarks.programs` for the engine whose imports begin with `root`."""
    target = folder.joinpath(*programs.__name__.split("."))
    target.mkdir(parents=True, exist_ok=True)
    for program in Path(programs.__path__[0]).glob("*.py"):
        text = translate(program.read_text(encoding="utf-8"), root)
        (target / program.name).write_text(text, encoding="utf-8")


def digest(lines: Path) -> str:
    """Digest of the lines of a file, whatever their order.

    Raises:
        MeasureError: If there is no such file.
    """
    if not lines.exists():
        msg = f"nothing was written to {lines}"
        raise MeasureError(msg)
    ordered = sorted(lines.read_bytes().splitlines(keepends=True))
    return hashlib.sha256(b"".join(ordered)).hexdigest()


def _run(root: str, flow: str, variable: str = "flow") -> tuple[str, ...]:
    return ("-m", f"{root}.run", f"{programs.__name__}.{flow}:{variable}")


def _free_ports(count: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [listener.getsockname()[1] for listener in sockets]
    for listener in sockets:
        listener.close()
    return ports
