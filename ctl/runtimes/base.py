"""What a runtime is: the launch contract that all engines share."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from ctl.inventory import Check, Inventory, ProcessPlace

Word = str | dict[str, Any]
"""A text as it is, or what only the host knows: `{"python": null}`, the path of its interpreter;
`{"place": [part, …], "then": text}`, a path in its root and what follows it; `{"join": [word, …]}`,
words with `:` between them."""


def place(*parts: object, then: str = "") -> Word:
    """A path in the root of a host, with a text right behind it."""
    return {"place": [str(part) for part in parts], "then": then}


@dataclass(frozen=True)
class Layers:
    """Digests of the layers of a release.

    Args:
        code: The flow and its modules.
        engine: The `engine` package, if the runtime asks for it.
        requirements: What the flow requires, if it requires anything.
    """

    code: str
    engine: str | None = None
    requirements: str | None = None


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
    """

    inventory: Inventory
    process: ProcessPlace
    flow: str
    layers: Layers
    launch: str
    encrypted: bool
    insecure: bool = False

    @property
    def addresses(self) -> str:
        """The ordered address list, with `;` between the addresses."""
        return ";".join(str(each.address) for each in self.inventory.processes)

    def of_launch(self, *parts: object) -> Word:
        """A file that is made for this start."""
        name = self.inventory.deployment.name
        return place("deployments", name, "launches", self.launch, *parts)

    def of_process(self, *parts: object) -> Word:
        """A file in the folder of the process."""
        name = self.inventory.deployment.name
        return place("deployments", name, "processes", self.process.id, *parts)


@dataclass(frozen=True)
class Command:
    """How something is run on a host.

    Args:
        argv: The program and its arguments.
        env: Variables beside those of the user and the inventory.
        ready: How a process is asked whether it is ready; see `ctl.remote.probes`.
        restart: After which ends it is started again, `{"codes": …, "signals": …}`; None for never.
    """

    argv: tuple[Word, ...]
    env: Mapping[str, Word] = field(default_factory=dict)
    ready: Mapping[str, Any] = field(default_factory=lambda: {"kind": "health"})
    restart: Mapping[str, Any] | None = None


class Runtime(Protocol):
    """An engine, as far as `ctl` has to know it."""

    name: str
    """What `runtime` in an inventory says."""

    needs_engine: bool
    """Whether hosts get the `engine` package."""

    options: Mapping[str, Check]
    """Further keys that `[deployment]` may have, each with what checks its value."""

    def process(self, context: ProcessContext) -> Command:
        """How one process is started."""

    def check(self, context: ProcessContext) -> Command | None:
        """What loads the flow without running it, if there is such a thing."""

    def cause(self, tail: str) -> str:
        """Why a process failed, out of the end of its stderr."""
