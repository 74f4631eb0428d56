"""Look: what hosts say of a deployment, as one status."""

import dataclasses
from collections.abc import Mapping
from typing import Any

from ctl.errors import CtlError
from ctl.inventory import Inventory, ProcessPlace
from ctl.phases.fleet import Fleet
from ctl.runtimes import Runtime
from ctl.status import DeploymentStatus, HostStatus, ProcessStatus

NEVER = "never deployed here"


def look(
    fleet: Fleet, failures: Mapping[str, CtlError], inventory: Inventory, runtime: Runtime
) -> DeploymentStatus:
    """Ask all hosts that answer for a deployment.

    Args:
        fleet: Hosts that answer.
        failures: Why the others do not, by name.
        inventory: All hosts.
        runtime: Of the deployment.
    """
    name = inventory.deployment.name
    outcome = fleet.each(lambda session: session.ask("status", deployment=name))
    errors = {**failures, **outcome.failures}
    hosts = []
    for host in inventory.hosts:
        answer = outcome.results.get(host.name)
        if answer is None:
            hosts.append(HostStatus(host.name, reachable=False, error=str(errors[host.name])))
            continue
        session = fleet.sessions[host.name]
        current = answer["current"] or {}
        problem = "a deploy was cut off here" if answer["cut_off"] else None
        release = current.get("release")
        hosts.append(HostStatus(host.name, True, problem, release, session.clock_offset_s))
    processes = [
        _process(place, outcome.results.get(place.host.name), runtime)
        for place in inventory.processes
    ]
    cut_off = any(answer["cut_off"] for answer in outcome.results.values())
    status = DeploymentStatus.of(name, hosts, processes, cut_off=cut_off)
    if status.release is None and status.state == "stopped":
        return dataclasses.replace(status, detail=NEVER)
    return status


def _process(
    place: ProcessPlace, answer: Mapping[str, Any] | None, runtime: Runtime
) -> ProcessStatus:
    status = ProcessStatus(place.id, place.host.name, str(place.address), "unknown")
    if answer is None:
        return status
    data = next((each for each in answer["processes"] if each["id"] == place.id), None)
    if data is None:
        return dataclasses.replace(status, state="stopped")
    code = data["exit_code"]
    if code is None and data["signal"] is not None:
        code = -data["signal"]
    return dataclasses.replace(
        status,
        state=data["state"],
        pid=data["pid"],
        uptime_s=data["uptime_s"],
        restarts=data["restarts"],
        exit_code=code,
        workers=data["workers"],
        items_in=data["items_in"],
        items_out=data["items_out"],
        lag_s=data["lag_s"],
        last_error=_last_error(data, runtime),
    )


def _last_error(data: Mapping[str, Any], runtime: Runtime) -> str | None:
    if data["state"] == "failed":
        cause = runtime.cause(data["tail"]).strip()
        return cause or data["note"] or None
    error = data.get("last_error")
    if not error and data["restarts"] and data["tail"]:
        # It runs again, and this is why it had to be started.
        error = runtime.cause(data["tail"]).strip()
    return str(error) if error else None
