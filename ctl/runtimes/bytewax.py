"""The runtime of Bytewax, as it is installed from PyPI."""

import re
from typing import Any

from ctl.errors import InventoryError, LostError
from ctl.inventory import RUNTIMES, Inventory
from ctl.runtimes.base import PYTHON, Command, PlainRuntime, ProcessContext, Word

_ASSEMBLE_SECONDS = 300.0
_RESTARTED = {"codes": [69, 70, 74], "signals": True, "limit": 6}
"""When one ends, all do, so that a failure costs each of them a start, or two if they meet while
they come and go."""

_FILE = re.compile(r"(?P<path>.*?\.py)(?P<target>:.*)?", re.DOTALL)
_API, _API_PORT = "BYTEWAX_DATAFLOW_API_ENABLED", 3030


class BytewaxRuntime(PlainRuntime):
    """`python -m bytewax.run`, inside of `ctl.remote.run_bytewax`, which knows how it ends."""

    name = "bytewax"
    requirements: tuple[str, ...] = ("bytewax==0.21.1",)
    options = RUNTIMES["bytewax"]

    def refuse(self, inventory: Inventory) -> None:
        """Look whether Bytewax can do what an inventory asks for.

        Raises:
            InventoryError: If it cannot.
        """
        recovery, options = inventory.deployment.recovery, inventory.deployment.options
        if recovery is not None:
            where = inventory.where("deployment", "recovery")
            if "://" in recovery.store:
                msg = f"{where}: Bytewax keeps its recovery partitions in a folder of each host"
                raise InventoryError(msg, 'write a folder, as in store = "/var/lib/flights"')
            if "snapshot_interval" in options:
                msg = f"{where}: there are two intervals of snapshots"
                raise InventoryError(msg, "leave out `snapshot_interval`")
            _whole(recovery.interval, where, "interval")
        elif "backup_interval" in options:
            where = inventory.where("deployment", "backup_interval")
            msg = f"{where}: there is nothing to keep without [deployment.recovery]"
            raise InventoryError(msg, "leave out `backup_interval`")
        if _API in inventory.deployment.env:
            where = inventory.where("deployment", "env", _API)
            msg = f"{where}: whether Bytewax has its web API is for `api` to say"
            raise InventoryError(msg, "write api = true, or leave out both")
        for name in ("snapshot_interval", "backup_interval"):
            if name in options:
                _whole(options[name], inventory.where("deployment", name), name)
        for index, host in enumerate(inventory.hosts):
            if host.bind is not None and self.mesh(inventory) == "direct":
                where = inventory.where("hosts", index, "bind")
                msg = f"{where}: Bytewax itself listens on the `address` of {host.name} only"
                raise InventoryError(msg, 'leave out `bind`, or mesh = "direct"')

    def warnings(self, inventory: Inventory) -> tuple[str, ...]:
        """A mesh that nobody protects, and a web API that anybody may read."""
        warnings = super().warnings(inventory)
        if not inventory.deployment.options.get("api"):
            return warnings
        text = "api = true: Bytewax shows the dataflow to whoever reaches port"
        return (*warnings, f"{text} {_api_port(inventory, 0)} of a host, without a password")

    def prepare(self, context: ProcessContext) -> tuple[Command, ...]:
        """Make the recovery partitions of the host."""
        recovery = context.inventory.deployment.recovery
        if recovery is None:
            return ()
        # A worker resumes from partitions that it can reach, so each host has some.
        own = ",".join(str(each.id) for each in context.local_processes)
        program = context.of_agent("bytewax_partitions.py")
        count = str(len(context.inventory.processes))
        made = context.of_deployment("recovery-made")
        argv = (PYTHON, "-P", program, {"home": recovery.store}, count, own, made)
        return (Command(argv, _env(context)),)

    def check(self, context: ProcessContext) -> Command:
        """Load the flow without running it."""
        argv = (PYTHON, "-P", context.of_agent("run_bytewax.py"), "--check", _flow(context))
        return Command(argv, _env(context))

    def process(self, context: ProcessContext) -> Command:
        """How one process is started."""
        deployment, number = context.inventory.deployment, context.process.id
        timeout = float(context.options.get("assemble_timeout", _ASSEMBLE_SECONDS))
        argv: list[Word] = [PYTHON, "-P", context.of_agent("run_bytewax.py")]
        argv += ["--assemble-timeout", f"{timeout:g}", "--hosts", ";".join(context.hosts)]
        if context.relayed:
            argv += ["--relayed", context.of_launch()]
        if context.options.get("api"):
            index = number - context.local_processes[0].id
            argv += ["--api", str(_api_port(context.inventory, index))]
        argv.append(_flow(context))
        ready: dict[str, Any] = {"kind": "at_once"}
        if len(context.addresses) > 1:
            argv += ["-i", str(number), "-a", ";".join(map(str, context.addresses))]
            ready = context.connected(context.addresses)
        argv += ["-w", str(deployment.workers)]
        if deployment.recovery is not None:
            backup = int(context.options.get("backup_interval", 0))
            argv += ["-r", {"home": deployment.recovery.store}, "-b", str(backup)]
            argv += ["-s", str(int(deployment.recovery.interval))]
        elif "snapshot_interval" in context.options:
            argv += ["-s", str(int(context.options["snapshot_interval"]))]
        return Command(
            tuple(argv),
            _env(context),
            ready,
            _RESTARTED if deployment.recovery is not None else None,
            # What it says itself when it gives up is better than what can be said of it.
            timeout + 10 if "assemble_timeout" in context.options else None,
            lost_codes=(LostError.exit_code,),
        )


def _env(context: ProcessContext) -> dict[str, Word]:
    return {"PYTHONPATH": context.layers.python_path, "PYTHONUNBUFFERED": "1"}


def _flow(context: ProcessContext) -> Word:
    """The flow as Bytewax takes it, whose name is a path with or without `.py`."""
    match = _FILE.fullmatch(context.flow)
    if match is not None:
        return context.of_code(match["path"], match["target"] or "")
    module, _, target = context.flow.partition(":")
    then = f":{target}" if target else ""
    return context.of_code(module.replace(".", "/"), then)


def _api_port(inventory: Inventory, index: int) -> int:
    first = inventory.deployment.options.get("api_port", _API_PORT)
    return int(str(first)) + index


def _whole(value: object, where: str, name: str) -> None:
    if not isinstance(value, float) or value != int(value):
        msg = f"{where}: `{name}` is {value}, and Bytewax takes whole seconds"
        raise InventoryError(msg, f"write {name} = {max(1, round(float(str(value))))}")
