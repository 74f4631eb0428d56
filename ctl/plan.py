"""What each host must have and run: values made of an inventory and layers, no I/O.

A *release* is what is pushed: layers, settings and hosts, named by the digest of its manifest.
A *launch* is one start of it, with keys of its own.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from ctl.inventory import Host, Inventory
from ctl.layers import CodeLayer, Layer
from ctl.relaying import is_relayed, loopback_addresses, relay_of
from ctl.runtimes import Command, Layers, ProcessContext, Runtime
from engine.settings import Address


@dataclass(frozen=True)
class Plan:
    """What a deploy is to bring about.

    Args:
        inventory: All hosts and settings.
        runtime: The engine.
        flow: The FLOW argument, relative to the code layer.
        layers: What all hosts must have; the agent's layer is among them.
        digests: Which of them is which.
        requirements: What hosts must have beside these, by their names.
        included: Paths, in the code layer, that are linked into the working directory.
        insecure: Whether the mesh may do without TLS.
        python: Minor version that hosts must have, if the flow is shipped by value.
    """

    inventory: Inventory
    runtime: Runtime
    flow: str
    layers: tuple[Layer, ...]
    digests: Layers
    requirements: Mapping[str, Layer] = field(default_factory=dict)
    included: tuple[str, ...] = ()
    insecure: bool = False
    python: tuple[int, int] | None = None

    @property
    def encrypted(self) -> bool:
        """Whether the mesh has TLS: whenever it leaves a machine, unless that is waived."""
        mesh = self.runtime.mesh(self.inventory)
        if mesh == "own":
            is_local = all(each.address.is_loopback for each in self.inventory.processes)
            return not is_local and not self.insecure
        return self.relayed

    @property
    def relayed(self) -> bool:
        """Whether relays carry the connections of the mesh."""
        return is_relayed(self.inventory, self.runtime.mesh(self.inventory))

    @property
    def addresses(self) -> tuple[Address, ...]:
        """What processes dial, in the order of their IDs."""
        if self.relayed:
            return loopback_addresses(self.inventory)
        return tuple(each.address for each in self.inventory.processes)

    @property
    def manifest(self) -> dict[str, Any]:
        """What the release is made of, ready for JSON; no value of a secret is in it."""
        deployment = self.inventory.deployment
        return {
            "deployment": deployment.name,
            "runtime": self.runtime.name,
            "flow": self.flow,
            "workers": deployment.workers,
            "options": dict(deployment.options),
            "env": dict(deployment.env),
            "secrets": sorted(deployment.secrets),
            "insecure": self.insecure,
            "layers": {layer.kind: layer.digest for layer in self.layers}
            | {f"requirements of {name}": each.digest for name, each in self.requirements.items()},
            "hosts": [host_to_json(host) for host in self.inventory.hosts],
        }

    @property
    def release(self) -> str:
        """Digest of the manifest, 64 hexadecimal digits."""
        text = json.dumps(self.manifest, sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()

    def layers_of(self, host: Host) -> tuple[Layer, ...]:
        """What a host must have."""
        own = self.requirements.get(host.name)
        return self.layers if own is None else (*self.layers, own)

    def launch(self, host: Host, launch: str) -> dict[str, Any]:
        """What a host is given for one start, ready for JSON.

        Args:
            host: One of the inventory, or one that has left it and gets nothing to run.
            launch: ID of the start.
        """
        contexts = [
            ProcessContext(
                self.inventory,
                each,
                self.flow,
                self._digests_of(host),
                launch,
                encrypted=self.encrypted,
                insecure=self.insecure,
                relayed=self.relayed,
                addresses=self.addresses,
            )
            for each in self.inventory.processes
            if each.host == host
        ]
        check = self.runtime.check(contexts[0]) if contexts else None
        links = {name: ["layers", self.digests.code, name] for name in self.included}
        return {
            "launch": launch,
            "release": self.release,
            "agent": self.digests.agent,
            "manifest": self.manifest,
            "processes": [self._spec(each, self.runtime.process(each)) for each in contexts],
            "prepare": [
                self._command(host, each)
                for context in contexts[:1]
                for each in self.runtime.prepare(context)
            ],
            "checks": [self._command(host, check)] if check is not None else [],
            "links": links if contexts and host.workdir is None else {},
        }

    def _digests_of(self, host: Host) -> Layers:
        own = self.requirements.get(host.name)
        return replace(self.digests, requirements=own.digest if own is not None else None)

    def _spec(self, context: ProcessContext, command: Command) -> dict[str, Any]:
        process = context.process
        return self._command(process.host, command) | {
            "id": process.id,
            "address": str(process.address),
            "workers": self.inventory.deployment.workers,
            "listens": list(self.runtime.listens(process, self.inventory)),
            "ready": dict(command.ready),
            "restart": None if command.restart is None else dict(command.restart),
            "ready_timeout": command.ready_timeout,
            "stop_signal": command.stop_signal.name,
            "lost_codes": None if command.lost_codes is None else list(command.lost_codes),
            "relay": relay_of(process, self.inventory, self.addresses) if self.relayed else None,
            # Whether a stranger who connects to its mesh port does no harm.
            "guarded": self.relayed or self.runtime.mesh(self.inventory) == "own",
        }

    def _command(self, host: Host, command: Command) -> dict[str, Any]:
        # What the user has set goes before what the runtime sets.
        own = self.inventory.deployment.env
        env = {**command.env, **own}
        if "PYTHONPATH" in command.env:
            # But nothing runs without what was pushed, and an empty part is the working directory.
            pushed, further = command.env["PYTHONPATH"], own.get("PYTHONPATH")
            env["PYTHONPATH"] = {"join": [pushed, further]} if further else pushed
        return {"argv": list(command.argv), "env": env, "cwd": host.workdir, "ready": {}}


def make_plan(
    inventory: Inventory,
    runtime: Runtime,
    code: CodeLayer,
    others: Mapping[str, Layer],
    *,
    requirements: Mapping[str, Layer] | None = None,
    insecure: bool = False,
) -> Plan:
    """Say what a deploy is to bring about.

    Args:
        inventory: All hosts and settings, its addresses resolved.
        runtime: The engine.
        code: The flow.
        others: Further layers by kind; `agent` is one of them.
        requirements: What the flow requires, by the name of the host.
        insecure: Whether the mesh may do without TLS.
    """
    digests = {kind: layer.digest for kind, layer in others.items()}
    return Plan(
        inventory,
        runtime,
        code.flow,
        (*others.values(), code.layer),
        Layers(code.layer.digest, digests["agent"], digests.get("engine")),
        requirements or {},
        code.included,
        insecure,
        code.python,
    )


def host_to_json(host: Host) -> dict[str, Any]:
    """What it takes to find a host again after it has left the inventory."""
    return {
        "name": host.name,
        "transport": host.transport,
        "ssh": host.ssh,
        "ssh_port": host.ssh_port,
        "user": host.user,
        "address": host.address,
        "bind": host.bind,
        "mesh_port": host.mesh_port,
        "processes": host.processes,
        "python": host.python,
        "workdir": host.workdir,
        "root": host.root,
    }
