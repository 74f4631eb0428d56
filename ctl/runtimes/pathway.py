"""The runtime of Pathway, as it is installed from PyPI."""

from datetime import UTC, datetime
from typing import Any

from ctl.errors import InventoryError, UsageError
from ctl.inventory import RUNTIMES, Inventory, ProcessPlace
from ctl.runtimes.base import PYTHON, Command, PlainRuntime, ProcessContext, Word
from engine.settings import Address

_MONITORING = "PATHWAY_MONITORING_HTTP_PORT"
_MONITORING_PORT = "20000"
_HERE = "127.0.0.1"
_KEY = "PATHWAY_LICENSE_KEY"
_SECRET = f'{_KEY} = {{ env = "{_KEY}" }}'


class PathwayRuntime(PlainRuntime):
    """`python program.py`, with the variables that `pathway spawn` sets."""

    name = "pathway"
    requirements: tuple[str, ...] = ("pathway==0.33.0",)
    options = RUNTIMES["pathway"]

    def refuse(self, inventory: Inventory) -> None:
        """Look whether Pathway can do what an inventory asks for.

        Raises:
            InventoryError: If it has to run on several hosts and there is no licence key for that,
                or its processes on one host have no consecutive ports.
        """
        deployment = inventory.deployment
        if deployment.recovery is not None:
            where = inventory.where("deployment", "recovery")
            msg = f"{where}: Pathway's persistence is set in the program itself"
            raise InventoryError(msg, "leave out [deployment.recovery]; see pw.persistence")
        known = {*deployment.secrets, *deployment.env}
        if len(_used(inventory)) > 1 and _KEY not in known:
            where = inventory.where("deployment", "runtime")
            msg = f"{where}: Pathway runs on several hosts only with a licence key of yours"
            raise InventoryError(
                msg, f"put it into [deployment.secrets]: {_SECRET}; or use one host"
            )
        if _KEY in deployment.env:
            where = inventory.where("deployment", "env", _KEY)
            msg = f"{where}: a licence key is a secret"
            raise InventoryError(
                msg, f'write {_KEY} = {{ env = "{_KEY}" }} in [deployment.secrets]'
            )

    def listens(self, process: ProcessPlace, inventory: Inventory) -> Address:
        """On one host, its form without a licence is on 127.0.0.1."""
        if len(_used(inventory)) > 1:
            return super().listens(process, inventory)
        return Address(_HERE, process.address.port)

    def refuse_flow(self, flow: str | None) -> None:
        """Look whether a flow is the file of a program.

        Raises:
            UsageError: If it is not.
        """
        super().refuse_flow(flow)
        if flow is not None and not flow.endswith(".py"):
            msg = f"Pathway runs the file of a program, and {flow!r} is none"
            raise UsageError(msg, "name a file, as in program.py, and use `env` for arguments")

    def process(self, context: ProcessContext) -> Command:
        """How one process is started."""
        count, workers = len(context.addresses), context.inventory.deployment.workers
        program: tuple[Word, ...] = (PYTHON, "-P", context.of_code(context.flow))
        env: dict[str, Word] = {
            "PYTHONPATH": context.layers.python_path,
            "PYTHONUNBUFFERED": "1",
        }
        addresses = context.addresses
        is_apart = len(_used(context.inventory)) > 1
        if is_apart:
            # Pathway's own command, which looks into the licence itself.
            argv: tuple[Word, ...] = (
                *(PYTHON, "-P", "-m", "pathway", "spawn"),
                *("--threads", str(workers), "--processes", str(count)),
                *("--addresses", ",".join(map(str, addresses))),
                *("--process-id", str(context.process.id)),
                *program,
            )
        else:
            # Its form without a licence: consecutive ports of 127.0.0.1.
            first = addresses[0].port
            addresses = tuple(Address(_HERE, first + index) for index in range(count))
            argv = program
            env |= {
                "PATHWAY_THREADS": str(workers),
                "PATHWAY_PROCESSES": str(count),
                "PATHWAY_FIRST_PORT": str(first),
                "PATHWAY_PROCESS_ID": str(context.process.id),
                "PATHWAY_RUN_ID": context.launch,
                "PATHWAY_START_TIMESTAMP_MS": str(_milliseconds(context.launch)),
                # The failure of one is reported by that one.
                "PATHWAY_SUPPRESS_OTHER_WORKER_ERRORS": "1",
            }
        ready: dict[str, Any] = {"kind": "at_once"}
        if count > 1:
            ready = context.connected(addresses) | {"session": is_apart}
        port = context.inventory.deployment.env.get(_MONITORING, _MONITORING_PORT)
        if port.isascii() and port.isdigit():
            ready["monitoring"] = int(port)
        timeout = context.options.get("assemble_timeout")
        limit = float(timeout) if timeout is not None else None
        return Command(argv, env, ready, ready_timeout=limit)


def _milliseconds(launch: str) -> int:
    """When a launch was made, which all of its processes have to say alike."""
    moment = datetime.strptime(launch.partition("-")[0], "%Y%m%dT%H%M%S").replace(tzinfo=UTC)
    return int(moment.timestamp() * 1000)


def _used(inventory: Inventory) -> set[str]:
    return {each.host.name for each in inventory.processes}
