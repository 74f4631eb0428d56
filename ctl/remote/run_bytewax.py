"""Runs one process of a Bytewax dataflow, as `python -m bytewax.run` does, and says how it ends.

    run_bytewax [--check] <arguments of bytewax.run>
    run_bytewax [--assemble-timeout SECONDS] [--hosts NAME;…] [--relayed FOLDER] [--api PORT]
        <arguments of bytewax.run>

Bytewax alone waits for ever for a peer that is missing, may not notice that one has died, and
loses the traceback of an error on a cluster. Here, the first names the peer and ends with 69, the
second ends with 74, and of the third the traceback is printed and the exit code is 70.
"""

import contextlib
import importlib
import os
import runpy
import sys
import threading
import time
import traceback
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, distribution, distributions
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

# What belongs to ctl is imported from the place of this file, and nothing else is.
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from ctl.remote.connections import Place, established, missing
from ctl.remote.witness import Witness

del sys.path[0]

_NOT_LOADED, _UNREACHABLE, _FAILED, _LOST, _VERSION, _INTERRUPTED = 65, 69, 70, 74, 76, 130
_LOOK_SECONDS = 0.5
_GLANCE_SECONDS = 0.05
_SAY_SECONDS = 5.0
_LOST_SECONDS = 5.0
"""How long a connection may be gone: at the end of a dataflow, peers leave a moment before us."""

_GRACE_SECONDS = 5.0
"""How long Bytewax has to end after an error."""

_ASSEMBLE_SECONDS = 300.0
_USER_CODE = {
    "branch": "predicate",
    "flat_map_batch": "mapper",
    "input": "source",
    "inspect_debug": "inspector",
    "output": "sink",
    "stateful_batch": "builder",
}
"""Core operators that run code of the user, and the field that has it."""


class _Options(NamedTuple):
    """What is asked of this program beside what is asked of Bytewax.

    Args:
        check: Whether the flow is only to be loaded.
        timeout: Seconds that the other processes have to come.
        hosts: Names of the hosts of all processes.
        relayed: Folder of the launch, if relays carry the connections.
        api: Port of Bytewax's web API; without one it is off.
    """

    check: bool = False
    timeout: float = _ASSEMBLE_SECONDS
    hosts: tuple[str, ...] = ()
    relayed: Path | None = None
    api: str | None = None


_OURS: dict[str, Callable[[str], dict[str, Any]]] = {
    "--assemble-timeout": lambda word: {"timeout": float(word)},
    "--hosts": lambda word: {"hosts": tuple(word.split(";"))},
    "--relayed": lambda word: {"relayed": Path(word)},
    "--api": lambda word: {"api": word},
}


class _Mesh:
    """Looks after the connections with the other processes.

    Args:
        process: ID of ours.
        addresses: Of all.
        options: What is known of the others.
    """

    def __init__(self, process: int, addresses: list[Place], options: _Options) -> None:
        self._process, self._addresses, self._options = process, addresses, options
        self.was_whole = False

    def look_after(self) -> None:
        """Wait until the mesh is whole, then see that it stays so; end the process if not."""
        began = since = said = time.monotonic()
        while True:
            connections = established(os.getpid())
            lack = missing(
                self._process,
                self._addresses,
                connections,
                self._options.hosts,
                self._options.relayed,
            )
            now = time.monotonic()
            if not lack:
                self.was_whole, since = True, now
            elif self.was_whole and now - since > _LOST_SECONDS:
                _end(_LOST, f"hostmesh: {lack} any more")
            elif not self.was_whole and now - began > self._options.timeout:
                _end(_UNREACHABLE, f"hostmesh: gave up after {self._options.timeout:g} s: {lack}")
            elif not self.was_whole and now - said > _SAY_SECONDS:
                said = now
                _say(f"hostmesh: still {lack}")
            time.sleep(_LOOK_SECONDS if self.was_whole else _GLANCE_SECONDS)


class _Run:
    """The one dataflow of this process.

    Args:
        run: What runs it, as Bytewax has it.
        options: Ours, not Bytewax's.
    """

    def __init__(self, run: Callable[..., Any], options: _Options) -> None:
        self._run, self._options = run, options
        self._witness = Witness(_say)
        self._mesh: _Mesh | None = None
        self._is_loaded = False

    def __call__(self, flow: Any, **options: Any) -> None:
        """Run a dataflow that was loaded, in the place of Bytewax's own function."""
        self._is_loaded = True
        if self._options.check:
            return
        for step in flow.substeps:
            _watch(step, self._witness)
        addresses = [_place(each) for each in options.get("addresses") or ()]
        if len(addresses) > 1:
            self._mesh = _Mesh(options["process_id"], addresses, self._options)
            threading.Thread(target=self._mesh.look_after, daemon=True).start()
        failed = self._witness.failed
        threading.Thread(target=_end_after, args=(failed,), daemon=True).start()
        self._run(flow, **options)

    def explain(self, error: BaseException) -> NoReturn:
        """End with what the error means."""
        if isinstance(error, KeyboardInterrupt):
            _end(_INTERRUPTED)
        if self._witness.failed.is_set():
            _end(_FAILED)
        if self._mesh is not None and type(error).__name__ == "PanicException":
            how = "was lost" if self._mesh.was_whole else "broke while it was made"
            _end(_LOST, f"hostmesh: the connection with another process {how} ({error})")
        traceback.print_exception(error)
        _end(_FAILED if self._is_loaded else _NOT_LOADED)


def main(arguments: list[str]) -> None:
    """Run as a program."""
    options = _own_options(arguments)
    # Whatever it is, Bytewax takes it for a yes; it may come from the user's own environment.
    os.environ.pop("BYTEWAX_DATAFLOW_API_ENABLED", None)
    if options.api is not None:
        os.environ |= {
            "BYTEWAX_DATAFLOW_API_ENABLED": "1",
            "BYTEWAX_DATAFLOW_API_PORT": options.api,
        }
    try:
        _refuse_another_version()
        bytewax = importlib.import_module("bytewax._bytewax")
    except ImportError as error:
        _end(_NOT_LOADED, f"error: Bytewax cannot be imported: {error}")
    run = _Run(bytewax.cli_main, options)
    # What `bytewax.run` imports from there.
    vars(bytewax)["cli_main"] = run
    sys.argv = ["bytewax.run", *arguments]
    try:
        runpy.run_module("bytewax.run", run_name="__main__", alter_sys=True)
    except SystemExit:
        raise
    except BaseException as error:
        run.explain(error)


def _own_options(arguments: list[str]) -> _Options:
    """Take our own options from the front of all arguments."""
    if arguments[:1] == ["--check"]:
        del arguments[0]
        return _Options(check=True)
    options = _Options()
    while arguments and (name := arguments[0]) in _OURS:
        options = options._replace(**_OURS[name](arguments[1]))
        del arguments[:2]
    return options


def _refuse_another_version() -> None:
    """End if the Bytewax that would be imported is not the one that was sent.

    That has no `__init__.py`, so an older one, which has, is taken wherever it is on the path.
    """
    spec = find_spec("bytewax")
    try:
        sent = distribution("bytewax")
    except PackageNotFoundError:
        # It was not installed, so none was sent.
        return
    wanted = Path(str(sent.locate_file("bytewax")))
    found = Path(spec.origin).parent if spec is not None and spec.origin else wanted
    if found != wanted and wanted.is_dir():
        own = next(iter(distributions(name="bytewax", path=[str(found.parent)])), None)
        text = f"error: {found} is Bytewax {own.version if own else 'of another version'}"
        _end(_VERSION, f"{text} and hides {sent.version}, which was sent; uninstall it there")


def _watch(step: Any, witness: Witness) -> None:
    """Watch the user's code in a step, and in the steps that it is made of."""
    name = _USER_CODE.get(type(step).__name__)
    code = getattr(step, name, None) if name else None
    if name in ("source", "sink"):
        witness.watch_class(type(code), step.step_id)
    elif name and code is not None:
        object.__setattr__(step, name, witness.guarded(code, step.step_id))
    for each in step.substeps:
        _watch(each, witness)


def _end_after(failed: threading.Event) -> None:
    failed.wait()
    time.sleep(_GRACE_SECONDS)
    _end(_FAILED)


def _place(address: str) -> Place:
    host, _, port = address.rpartition(":")
    return host.strip("[]"), int(port)


def _say(text: str) -> None:
    with contextlib.suppress(OSError):
        sys.stderr.write(f"{text}\n")
        sys.stderr.flush()


def _end(code: int, text: str = "") -> NoReturn:
    """End at once; threads of Bytewax may never end."""
    if text:
        _say(text)
    with contextlib.suppress(OSError, ValueError):
        sys.stdout.flush()
        sys.stderr.flush()
    os._exit(code)


if __name__ == "__main__":
    main(sys.argv[1:])
