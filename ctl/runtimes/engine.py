"""The runtime of our own engine."""

import re
from collections.abc import Mapping

from ctl.inventory import RUNTIMES
from ctl.runtimes.base import Command, ProcessContext, Word, place

_FILE = re.compile(r"(?P<path>.*?\.py)(?P<target>:.*)?", re.DOTALL)
_OPTIONS = {
    "heartbeat_timeout": "--heartbeat-timeout",
    "assemble_timeout": "--assemble-timeout",
    "epoch_interval": "--epoch-interval",
    "log_level": "--log-level",
}


class EngineRuntime:
    """`python -m engine.run`, with the health socket in the folder of the process."""

    name = "engine"
    needs_engine = True
    options = RUNTIMES["engine"]

    def process(self, context: ProcessContext) -> Command:
        """How one process is started."""
        inventory, place_ = context.inventory, context.process
        socket = context.of_process("health.sock")
        argv: list[Word] = [
            *_PYTHON,
            *("-i", str(place_.id), "-a", context.addresses),
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
        )

    def check(self, context: ProcessContext) -> Command:
        """What loads the flow without running it."""
        return Command((*_PYTHON, "--check", "--", _flow(context)), _env(context))

    def cause(self, tail: str) -> str:
        """Why a process failed: the engine prints the first cause last."""
        _, found, block = f"\n{tail}".rpartition("\nerror: ")
        return f"error: {block}" if found else tail


_PYTHON: tuple[Word, ...] = ({"python": None}, "-P", "-m", "engine.run")


def _flow(context: ProcessContext) -> Word:
    match = _FILE.fullmatch(context.flow)
    if match is None:
        return context.flow
    return place("layers", context.layers.code, match["path"], then=match["target"] or "")


def _env(context: ProcessContext) -> Mapping[str, Word]:
    layers = (context.layers.engine, context.layers.requirements, context.layers.code)
    paths = [place("layers", digest) for digest in layers if digest is not None]
    return {"PYTHONPATH": {"join": paths}, "PYTHONUNBUFFERED": "1"}
