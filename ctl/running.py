"""Run a flow of any runtime on this machine, in place, without hosts and layers."""

import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ctl.errors import UnreachableError, UsageError
from ctl.inventory import DeploymentSettings, Host, Inventory
from ctl.remote.words import fill_in
from ctl.runtimes import Layers, ProcessContext, Runtime, Word
from engine.errors import PeerUnavailableError
from engine.failure import Failure
from engine.flows import FlowReference
from engine.launch import launch
from engine.local import Child, LocalCluster, open_child
from engine.relay import Writer

_CODE, _AGENT = "code", "agent"
_TRIES = 64


def run_here(runtime: Runtime, cluster: LocalCluster, options: Mapping[str, Any]) -> int:
    """Run it until all processes have ended; give the exit code.

    Args:
        runtime: The engine.
        cluster: What is to run.
        options: The keys of the runtime that an inventory would have.

    Raises:
        CtlError: If the runtime cannot do that, or there are no ports for it.
    """
    programs = _Programs(runtime, cluster, options)
    return launch(cluster, programs.start)


@dataclass
class _Program(Child):
    """A process that, unlike one of our own engine, neither stops the others nor reports its end.

    Args:
        cluster: All that were started, this one among them.
    """

    cluster: "list[_Program]" = field(default_factory=list)
    asked: bool = False

    def send(self, number: int) -> None:
        """Send all of them a signal, each once."""
        # Once one has ended, the launcher ends those that wait for it, and how they fail counts.
        self.asked = self.asked or not any(each.has_ended for each in self.cluster)
        for each in self.cluster:
            if number not in each.sent:
                super(_Program, each).send(number)

    def unexplained(self) -> Failure | None:
        """Why it ended; if the user has asked for that, the way it does so is its own affair."""
        return None if any(each.asked for each in self.cluster) else super().unexplained()


class _Programs:
    def __init__(self, runtime: Runtime, cluster: LocalCluster, options: Mapping[str, Any]) -> None:
        self._runtime, flow = runtime, cluster.flow
        reference = FlowReference.parse(flow)
        path = Path.cwd() / reference.place
        self._folder = path.parent if reference.is_file else Path.cwd()
        flow = path.name + flow[len(reference.place) :] if reference.is_file else flow
        settings = DeploymentSettings("local", runtime.name, cluster.workers, options=dict(options))
        host = Host(
            "local",
            transport="local",
            address="127.0.0.1",
            mesh_port=_free_ports(cluster.processes),
            processes=cluster.processes,
        )
        self._inventory = Inventory(Path("inventory.toml"), settings, (host,))
        self._runtime.refuse(self._inventory)
        self._flow = flow

    def start(
        self,
        _cluster: LocalCluster,
        environ: Mapping[str, str],
        _lifeline_fd: int,
        writers: Callable[[int], tuple[Writer, Writer]],
    ) -> Iterator[Child]:
        """Start the processes, one after the other, as `engine.local.start` does."""
        places = self._inventory.processes
        addresses = tuple(each.address for each in places)
        made = time.strftime("%Y%m%dT%H%M%S-local", time.gmtime())
        layers = Layers(_CODE, _AGENT, requirements=None)
        cluster: list[_Program] = []
        with ExitStack() as blocked:
            # A signal waits until there is somebody to pass it on to.
            numbers = (signal.SIGINT, signal.SIGTERM)
            before = signal.pthread_sigmask(signal.SIG_BLOCK, numbers)
            blocked.callback(signal.pthread_sigmask, signal.SIG_SETMASK, before)
            for place in places:
                context = ProcessContext(
                    self._inventory,
                    place,
                    self._flow,
                    layers,
                    made,
                    encrypted=False,
                    insecure=False,
                    relayed=False,
                    addresses=addresses,
                )
                command = self._runtime.process(context)
                env = {key: self._word(value) for key, value in command.env.items()}
                path = [env.get("PYTHONPATH"), environ.get("PYTHONPATH")]
                env["PYTHONPATH"] = os.pathsep.join(filter(None, path))
                words = [self._word(word) for word in command.argv]
                popen = _open(place.id, words, {**environ, **env})
                child = _Program.of(
                    place.id, str(place.address), popen, _nothing(), writers(place.id)
                )
                child.cluster = cluster
                cluster.append(child)
                yield child

    def _word(self, word: Word) -> str:
        """What a host would make of it, here."""
        return fill_in(word, self._place)

    def _place(self, place: list[Any]) -> str:
        kind, name, *parts = place
        folders = {_CODE: self._folder, _AGENT: Path(__file__).resolve().parents[1]}
        if kind != "layers" or name not in folders:
            msg = f"runtime {self._runtime.name} cannot run without hosts"
            raise UsageError(msg, 'deploy it; a host may be this machine: transport = "local"')
        return str(folders[name].joinpath(*parts))


def _open(process: int, words: list[str], env: dict[str, str]) -> "subprocess.Popen[bytes]":
    def unblock() -> None:
        signal.pthread_sigmask(signal.SIG_SETMASK, ())

    try:
        return open_child(words, env, in_child=unblock)
    except OSError as error:
        msg = f"process {process} cannot be started: {words[0]}: {error.strerror}"
        raise PeerUnavailableError(msg) from None


def _nothing() -> int:
    """A pipe that tells nothing: only our own engine reports its first failure."""
    read_fd, write_fd = os.pipe()
    os.close(write_fd)
    return read_fd


def _free_ports(count: int) -> int:
    """The first of so many ports in a row that nobody listens on."""
    for _ in range(_TRIES):
        with ExitStack() as sockets:
            first = sockets.enter_context(socket.create_server(("127.0.0.1", 0)))
            port = int(first.getsockname()[1])
            try:
                for number in range(port + 1, port + count):
                    sockets.enter_context(socket.create_server(("127.0.0.1", number)))
            except (OSError, OverflowError):
                continue
            return port
    msg = f"there are no {count} free ports in a row"
    raise UnreachableError(msg)
