"""The runtime of our own engine."""

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING

from ctl.errors import InventoryError, LostError, UnauthorisedError
from ctl.inventory import RUNTIMES, Inventory
from ctl.runtimes.base import PYTHON, Command, Mesh, PlainRuntime, ProcessContext, Word

if TYPE_CHECKING:
    from engine.local import LocalCluster

_FILE = re.compile(r"(?P<path>.*?\.py)(?P<target>:.*)?", re.DOTALL)
_OPTIONS = {
    "heartbeat_timeout": "--heartbeat-timeout",
    "assemble_timeout": "--assemble-timeout",
    "epoch_interval": "--epoch-interval",
    "log_level": "--log-level",
}


class EngineRuntime(PlainRuntime):
    """`python -m engine.run`, with the health socket in the folder of the process."""

    name = "engine"
    needs_engine = True
    options = RUNTIMES["engine"]

    def mesh(self, inventory: Inventory) -> Mesh:  # noqa: ARG002 - of the protocol
        """It has one of its own."""
        return "own"

    def refuse(self, inventory: Inventory) -> None:
        """Look whether it can do what an inventory asks for.

        Raises:
            InventoryError: If it is to resume, which it cannot yet.
        """
        if inventory.deployment.recovery is not None:
            where = inventory.where("deployment", "recovery")
            msg = f"{where}: our own engine stores nothing yet that it could resume from"
            raise InventoryError(msg, "leave it out; a flow begins anew after a failure")

    def refuse_flow(self, flow: str | None) -> None:
        """It runs a dataflow that was built in this process as well."""

    def process(self, context: ProcessContext) -> Command:
        """How one process is started."""
        inventory, place_ = context.inventory, context.process
        socket = context.of_process("health.sock")
        argv: list[Word] = [
            *_PYTHON,
            *("-i", str(place_.id), "-a", ";".join(map(str, context.addresses))),
            *("-w", str(inventory.deployment.workers)),
            *("--cluster-id", inventory.deployment.name),
            *("--health", socket),
            *("--secret-file", context.of_launch("mesh-secret")),
            *("--log-format", "text"),
        ]
        if place_.host.bind is not None:
            argv += ["--bind", place_.host.bind]
        if context.encrypted:
            argv += [
                *("--tls-ca", context.of_launch("tls", "ca.pem")),
                *("--tls-cert", context.of_launch("tls", f"{place_.id}.pem")),
                *("--tls-key", context.of_launch("tls", f"{place_.id}.key")),
            ]
        elif context.insecure:
            argv.append("--insecure")
        for option, value in inventory.deployment.options.items():
            argv += [_OPTIONS[option], str(value)]
        return Command(
            (*argv, "--", _flow(context)),
            _env(context),
            ready={"kind": "health", "socket": socket},
            lost_codes=(LostError.exit_code, UnauthorisedError.exit_code),
        )

    def check(self, context: ProcessContext) -> Command:
        """What loads the flow without running it."""
        return Command((*_PYTHON, "--check", "--", _flow(context)), _env(context))

    def run(self, cluster: "LocalCluster") -> int:
        """Start it with a launcher of its own."""
        # Slow to import, and a deploy does without it.
        from engine.launch import launch

        return launch(cluster)

    def cause(self, tail: str) -> str:
        """Why a process failed: the engine prints the first cause last."""
        _, found, block = f"\n{tail}".rpartition("\nerror: ")
        return f"error: {block}" if found else tail


_PYTHON: tuple[Word, ...] = (PYTHON, "-P", "-m", "engine.run")


def _flow(context: ProcessContext) -> Word:
    match = _FILE.fullmatch(context.flow)
    if match is None:
        return context.flow
    return context.of_code(match["path"], match["target"] or "")


def _env(context: ProcessContext) -> Mapping[str, Word]:
    return {"PYTHONPATH": context.layers.python_path, "PYTHONUNBUFFERED": "1"}
