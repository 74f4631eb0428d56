"""What a runtime is: the launch contract that all engines share."""

import signal
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, Protocol

from ctl.errors import UsageError
from ctl.inventory import Check, Inventory, ProcessPlace
from engine.settings import Address

if TYPE_CHECKING:
    from engine.local import LocalCluster

Word = str | dict[str, Any]
"""A text as it is, or what only the host knows: `{"python": null}`, the path of its interpreter;
`{"place": [part, …], "then": text}`, a path in its root and what follows it; `{"join": [word, …]}`,
words with `:` between them; `{"home": text}`, a path that may begin with `~`."""

Mesh = Literal["own", "relay", "direct"]
"""Who protects the connections between processes: the engine itself, relays of ours, or nobody."""

PYTHON: Word = {"python": None}


def place(*parts: object, then: str = "") -> Word:
    """A path in the root of a host, with a text right behind it."""
    return {"place": [str(part) for part in parts], "then": then}


@dataclass(frozen=True)
class Layers:
    """Digests of the layers of a release, as a host has them.

    Args:
        code: The flow and its modules.
        agent: What of `ctl` runs on hosts.
        engine: The `engine` package, if the runtime asks for it.
        requirements: What the flow requires, if it requires anything.
    """

    code: str
    agent: str
    engine: str | None = None
    requirements: str | None = None

    @property
    def python_path(self) -> Word:
        """All of them that Python code is imported from."""
        layers = (self.engine, self.requirements, self.code)
        return {"join": [place("layers", each) for each in layers if each is not None]}


@dataclass(frozen=True)
class ProcessContext:
    """What a runtime knows when it says how a process is started.

    Args:
        inventory: All hosts and settings.
        process: Which process.
        flow: The FLOW argument, relative to the code layer.
        layers: Digests of what is pushed.
        launch: ID of the start.
        encrypted: Whether the mesh has TLS.
        insecure: Whether it may do without although an address is not loopback.
        relayed: Whether relays carry the connections to other hosts.
        addresses: What processes dial, in the order of their IDs; relays may listen there.
    """

    inventory: Inventory
    process: ProcessPlace
    flow: str
    layers: Layers
    launch: str
    encrypted: bool
    insecure: bool
    relayed: bool
    addresses: tuple[Address, ...]

    @property
    def options(self) -> Mapping[str, Any]:
        """The keys of the runtime that the inventory has."""
        return self.inventory.deployment.options

    @property
    def address(self) -> Address:
        """What the others dial to reach this process."""
        return self.addresses[self.process.id]

    @property
    def local_processes(self) -> tuple[ProcessPlace, ...]:
        """The processes of the same host."""
        host = self.process.host
        return tuple(each for each in self.inventory.processes if each.host == host)

    @property
    def hosts(self) -> tuple[str, ...]:
        """The host of each process, in the order of their IDs."""
        return tuple(each.host.name for each in self.inventory.processes)

    def connected(self, addresses: Sequence[Address]) -> dict[str, Any]:
        """How this process is asked whether it has a connection with every other one."""
        return {
            "kind": "connections",
            "process": self.process.id,
            "addresses": [list(each) for each in addresses],
            "hosts": list(self.hosts),
        } | ({"relayed": self.of_launch()} if self.relayed else {})

    def of_code(self, path: str, then: str = "") -> Word:
        """A file of the code layer, and a text right behind it."""
        return place("layers", self.layers.code, path, then=then)

    def of_agent(self, name: str) -> Word:
        """A module of `ctl.remote`, as the file of a program."""
        return place("layers", self.layers.agent, "ctl", "remote", name)

    def of_deployment(self, *parts: object) -> Word:
        """A file in the folder of the deployment, which stays from start to start."""
        return place("deployments", self.inventory.deployment.name, *parts)

    def of_launch(self, *parts: object) -> Word:
        """A file that is made for this start."""
        return self.of_deployment("launches", self.launch, *parts)

    def of_process(self, *parts: object) -> Word:
        """A file in the folder of the process."""
        return self.of_deployment("processes", self.process.id, *parts)


@dataclass(frozen=True)
class Command:
    """How something is run on a host.

    Args:
        argv: The program and its arguments.
        env: Variables beside those of the user and the inventory.
        ready: How a process is asked whether it is ready; see `ctl.remote.probes`.
        restart: After which ends it is started again, `{"codes": …, "signals": …}`; None for never.
        ready_timeout: Seconds that a process has to become ready; None for as long as usual.
        lost_codes: Exit codes that mean: its peers are gone, or are those of another start; None
            if any may mean that. After a deploy that was undone, what ends with one of them is
            started again; while all are being stopped, it is no failure.
        stop_signal: What asks a process to end in order.
    """

    argv: tuple[Word, ...]
    env: Mapping[str, Word] = field(default_factory=dict)
    ready: Mapping[str, Any] = field(default_factory=lambda: {"kind": "at_once"})
    restart: Mapping[str, Any] | None = None
    ready_timeout: float | None = None
    lost_codes: tuple[int, ...] | None = None
    stop_signal: signal.Signals = signal.SIGTERM


class Runtime(Protocol):
    """An engine, as far as `ctl` has to know it."""

    name: str
    """What `runtime` in an inventory says."""

    needs_engine: bool
    """Whether hosts get the `engine` package."""

    requirements: tuple[str, ...]
    """What hosts get beside what the flow requires, unless that names it; one version of each on
    all hosts."""

    options: Mapping[str, Check]
    """Further keys that `[deployment]` may have, each with what checks its value."""

    def mesh(self, inventory: Inventory) -> Mesh:
        """Who protects the connections between processes."""

    def listens(self, process: ProcessPlace, inventory: Inventory) -> Address:
        """Where a process, or its relay, listens on its host."""

    def refuse(self, inventory: Inventory) -> None:
        """Look whether it can do what an inventory asks for.

        Raises:
            CtlError: If it cannot.
        """

    def refuse_flow(self, flow: str | None) -> None:
        """Look whether it can run a flow, as far as its name tells.

        Args:
            flow: The FLOW argument; None for a dataflow that was built in this process.

        Raises:
            CtlError: If it cannot.
        """

    def warnings(self, inventory: Inventory) -> tuple[str, ...]:
        """Sentences about what an inventory risks."""

    def prepare(self, context: ProcessContext) -> tuple[Command, ...]:
        """What is run on the host of the first of its processes, before any is started."""

    def check(self, context: ProcessContext) -> Command | None:
        """What loads the flow without running it, if there is such a thing."""

    def process(self, context: ProcessContext) -> Command:
        """How one process is started."""

    def cause(self, tail: str) -> str:
        """Why a process failed, out of the end of its output."""

    def run(self, cluster: "LocalCluster") -> int:
        """Run a flow on this machine until all its processes have ended; give the exit code.

        Raises:
            CtlError: If it cannot do that.
        """


class PlainRuntime(ABC):
    """What most runtimes have in common, to derive from."""

    name: str
    needs_engine = False
    requirements: tuple[str, ...] = ()
    options: Mapping[str, Check] = {}

    def mesh(self, inventory: Inventory) -> Mesh:
        """Relays of ours protect the connections, unless the inventory wants none."""
        return "direct" if inventory.deployment.options.get("mesh") == "direct" else "relay"

    def listens(self, process: ProcessPlace, inventory: Inventory) -> Address:  # noqa: ARG002 - of the protocol
        """Where the inventory says."""
        return Address(process.host.bind or process.address.host, process.address.port)

    def refuse(self, inventory: Inventory) -> None:  # noqa: B027 - what most do
        """It can do all that an inventory asks for."""

    def refuse_flow(self, flow: str | None) -> None:
        """It runs what has a name, and not a dataflow of our own engine.

        Raises:
            UsageError: If it has none.
        """
        if flow is None:
            msg = f'runtime = "{self.name}" runs no dataflow that was built in a notebook'
            raise UsageError(msg, "write it to a file, or use our own engine")

    def warnings(self, inventory: Inventory) -> tuple[str, ...]:
        """A mesh that nobody protects is one."""
        is_local = all(each.address.is_loopback for each in inventory.processes)
        if self.mesh(inventory) != "direct" or is_local or len(inventory.processes) < 2:
            return ()
        risk = "whoever reaches a mesh port can read the data and run code as its user"
        return (f'mesh = "direct": {risk}',)

    def prepare(self, context: ProcessContext) -> tuple[Command, ...]:  # noqa: ARG002 - of the protocol
        """Nothing is run before."""
        return ()

    def check(self, context: ProcessContext) -> Command | None:  # noqa: ARG002 - of the protocol
        """There is nothing that would load the flow."""
        return None

    @abstractmethod
    def process(self, context: ProcessContext) -> Command:
        """How one process is started."""

    def cause(self, tail: str) -> str:
        """The first traceback, as what follows is often its consequence."""
        return first_traceback(tail)

    def run(self, cluster: "LocalCluster") -> int:
        """Start processes as on a host.

        Raises:
            UsageError: If a flag is one of our own engine.
        """
        self.refuse_flow(cluster.flow)
        own = [*cluster.flags, *(["--health"] if cluster.health is not None else [])]
        for flag in own:
            problem = (
                f"{flag.partition('=')[0]} is a flag of our own engine, and {self.name} is to run"
            )
            raise UsageError(problem, "leave it out")
        # It takes what is here as given.
        from ctl.running import run_here

        return run_here(self, cluster, self.local_options(cluster.flow))

    def local_options(self, flow: str) -> Mapping[str, Any]:  # noqa: ARG002 - for others to refine
        """The keys of an inventory that `ctl run` takes as given, which has none."""
        return {}


def first_traceback(tail: str) -> str:
    """The first traceback of an output with all that it was chained to; all if there is none."""
    start = "Traceback (most recent call last):\n"
    at = tail.find(start)
    if at < 0 or (at and tail[at - 1] != "\n"):
        return tail
    lines = tail[at:].splitlines()
    end = next(
        (
            number
            for number, line in enumerate(lines)
            if number and line and not line.startswith((" ", "Traceback", "+", "|"))
        ),
        len(lines) - 1,
    )
    rest = "\n".join(lines[end + 1 :])
    for link in ("\nDuring handling of the above", "\nThe above exception was the direct cause"):
        if rest.startswith(link):
            message, _, more = rest.partition(start)
            if more:
                return "\n".join([*lines[: end + 1], message + first_traceback(start + more)])
    return "\n".join(lines[: end + 1])
