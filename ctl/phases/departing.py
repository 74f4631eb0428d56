"""Hosts that have left the inventory, and may still run what they were given."""

from typing import Any

from ctl.inventory import Host, Inventory
from ctl.layers import Layer
from ctl.phases.connecting import Open, connect
from ctl.phases.fleet import Fleet
from ctl.progress import Progress, Silent
from ctl.transport.session import Session


def join_departed(
    fleet: Fleet, inventory: Inventory, open_channel: Open, agent: Layer, progress: Progress
) -> None:
    """Have them take part in a deploy, which stops what they run.

    Args:
        fleet: The hosts of the inventory; others join it.
        inventory: What it says now.
        open_channel: How to reach a host.
        agent: The layer with the code for hosts.
        progress: Is told of those that do not answer.
    """
    departed = _departed(fleet, inventory)
    if not departed:
        return
    others, outcome = connect(departed, open_channel, agent, Silent())
    known = {session.facts["place"] for session in fleet.sessions.values()}
    for name, session in others.sessions.items():
        if session.facts["place"] in known:
            # It has not left: only the way to it is another one.
            session.close()
        else:
            fleet.sessions[name] = session
    for name, error in outcome.failures.items():
        progress.warn(f"{name}: {error.problem}; its processes may be running")


def _departed(fleet: Fleet, inventory: Inventory) -> list[Host]:
    """Those of the last release that the inventory no longer has."""

    def look(session: Session) -> dict[str, Any] | None:
        answer = session.ask("look", deployment=inventory.deployment.name, layers=[], release="")
        manifest: dict[str, Any] | None = answer["manifest"]
        return manifest

    manifests = [each for each in fleet.each(look).results.values() if each is not None]
    known = {_machine(host) for host in inventory.hosts}
    found = {}
    for data in (each for manifest in manifests for each in manifest["hosts"]):
        host = Host(**{**data, "name": f"{data['name']} (left)", "processes": 0})
        if _machine(host) not in known:
            found[_machine(host)] = host
    return list(found.values())


def _machine(host: Host) -> tuple[object, ...]:
    """What makes two entries of inventories the same place."""
    return host.transport, host.ssh, host.ssh_port, host.user, host.root
