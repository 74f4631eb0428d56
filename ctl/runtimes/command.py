"""The runtime of any program: it is told its place among the others, and nothing more."""

import re
import signal
from collections.abc import Mapping
from pathlib import PurePath
from typing import Any

from ctl.errors import InventoryError, UsageError
from ctl.inventory import RUNTIMES, Inventory
from ctl.runtimes.base import PYTHON, Command, PlainRuntime, ProcessContext, Word, place

_PLACEHOLDER = re.compile(r"\{\{|\}\}|\{([^{}]*)\}|[{}]")
_PYTHONS = ("python", "python3")
_ANY_FAILURE = {"codes": list(range(1, 256)), "signals": True}

VALUES = (
    *("process_id", "processes", "address", "addresses", "host", "port", "workers"),
    *("master_addr", "master_port", "local_rank", "flow"),
)
"""What may be in braces."""


class CommandRuntime(PlainRuntime):
    """The program that `command` names, once for each process."""

    name = "command"
    options = RUNTIMES["command"]

    def refuse(self, inventory: Inventory) -> None:
        """Look whether the command can be made.

        Raises:
            InventoryError: If it is missing, or has a placeholder that there is not.
        """
        options = inventory.deployment.options
        where = inventory.where("deployment", "command")
        if "command" not in options:
            msg = f'{where}: runtime = "command" needs the key `command`'
            raise InventoryError(msg, 'write command = ["python", "train.py"]')
        _, detail = _ready(options)
        for word in (*_words(options), detail):
            for match in _PLACEHOLDER.finditer(word):
                if match[0] not in ("{{", "}}") and match[1] not in VALUES:
                    msg = f"{where}: {match[0]} in {word!r} stands for nothing"
                    known = ", ".join(f"{{{each}}}" for each in VALUES)
                    fix = f"there are {known}; for a brace of its own, write it twice"
                    raise InventoryError(msg, fix)
        if inventory.deployment.recovery is not None:
            where = inventory.where("deployment", "recovery")
            msg = f'{where}: runtime = "command" knows nothing of recovery'
            raise InventoryError(msg, "leave it out, and have the program resume by itself")

    def refuse_flow(self, flow: str | None) -> None:
        """Look whether a flow is a program as a whole.

        Raises:
            UsageError: If it is something in one.
        """
        super().refuse_flow(flow)
        if flow is not None and ":" in flow and not flow.endswith(".py"):
            msg = f'runtime = "command" runs programs, and {flow!r} is something in one'
            raise UsageError(msg, "name the file alone, and put arguments into `command`")

    def local_options(self, flow: str) -> Mapping[str, Any]:
        """The program itself.

        Raises:
            UsageError: If the flow is none.
        """
        if not flow.endswith(".py"):
            msg = f"{flow!r} is no program"
            raise UsageError(msg, f"name a file: ctl run --runtime {self.name} program.py")
        return {"command": ("python", PurePath(flow).name)}

    def process(self, context: ProcessContext) -> Command:
        """How one process is started."""
        values = _values(context)
        kind, detail = _ready(context.options)
        ready: dict[str, Any] = {"kind": kind}
        if kind in ("tcp", "http"):
            ready["address"] = list(context.address)
        if kind == "http":
            ready["url"] = _filled(detail, values)
        if kind == "log":
            ready["pattern"] = detail
        timeout = context.options.get("ready_timeout")
        return Command(
            tuple(self._word(each, context, values) for each in _words(context.options)),
            self._env(context, values),
            ready,
            _ANY_FAILURE if context.options.get("restart") == "on-failure" else None,
            float(timeout) if timeout is not None else None,
            stop_signal=signal.Signals[str(context.options.get("stop_signal", "SIGTERM"))],
        )

    def _word(self, word: str, context: ProcessContext, values: Mapping[str, str]) -> Word:
        if word in _PYTHONS:
            return PYTHON
        if word in (context.flow, "{flow}"):
            return context.of_code(context.flow)
        return _filled(word, values)

    def _env(self, context: ProcessContext, values: Mapping[str, str]) -> dict[str, Word]:
        return {
            "PYTHONPATH": context.layers.python_path,
            "PYTHONUNBUFFERED": "1",
            "HOSTMESH_CODE": place("layers", context.layers.code),
            **{f"HOSTMESH_{name.upper()}": values[name] for name in VALUES[:7]},
            # As torchrun and MPI programs have them.
            "RANK": values["process_id"],
            "WORLD_SIZE": values["processes"],
            "LOCAL_RANK": values["local_rank"],
            "LOCAL_WORLD_SIZE": str(len(context.local_processes)),
            "MASTER_ADDR": values["master_addr"],
            "MASTER_PORT": values["master_port"],
        }


def _values(context: ProcessContext) -> dict[str, str]:
    first, own = context.addresses[0], context.address
    return {
        "process_id": str(context.process.id),
        "processes": str(len(context.addresses)),
        "address": str(own),
        "addresses": ";".join(map(str, context.addresses)),
        "host": own.host,
        "port": str(own.port),
        "workers": str(context.inventory.deployment.workers),
        "master_addr": first.host,
        "master_port": str(first.port),
        "local_rank": str(context.process.id - context.local_processes[0].id),
        "flow": context.flow,
    }


def _filled(word: str, values: Mapping[str, str]) -> str:
    def value(match: re.Match[str]) -> str:
        return match[0][0] if match[0] in ("{{", "}}") else values[match[1]]

    return _PLACEHOLDER.sub(value, word)


def _words(options: Mapping[str, Any]) -> tuple[str, ...]:
    words: tuple[str, ...] = options["command"]
    return words


def _ready(options: Mapping[str, Any]) -> tuple[str, str]:
    ready: tuple[str, str] = options.get("ready", ("at_once", ""))
    return ready
