"""Fetch: what a flow requires, once for all hosts that are alike, on this machine."""

from collections.abc import Mapping
from pathlib import Path

from ctl.errors import HostsError, VersionError
from ctl.inventory import Inventory
from ctl.layers import Layer
from ctl.phases.checking import SPARE_BYTES, judge, raise_problems
from ctl.phases.fleet import Fleet
from ctl.requirements import (
    RequirementsLayer,
    Wanted,
    find,
    package_of,
    requirement_layers,
    targets,
)
from ctl.runtimes import Runtime
from ctl.ui.quantities import size
from engine.flows import FlowReference


def wanted_by(flow: str | None, inventory: Inventory, runtime: Runtime) -> Wanted | None:
    """What a flow requires, and its runtime beside; None if that is nothing.

    Args:
        flow: The FLOW argument, if there is one.
        inventory: What it says comes first.
        runtime: What it says counts unless the flow says another version.

    Raises:
        CtlError: If a file that lists requirements cannot be read.
    """
    reference = FlowReference.parse(flow) if flow is not None else None
    file = Path.cwd() / reference.place if reference and reference.is_file else None
    if file is not None and not file.is_file():
        # Whoever gathers the code says so.
        file = None
    wanted = find(inventory, file, file.parent if file else Path.cwd())
    if wanted is None and runtime.requirements:
        wanted = Wanted("", f'runtime = "{runtime.name}"', Path.cwd())
    return wanted.with_defaults(runtime.requirements) if wanted else None


def fetch(
    wanted: Wanted,
    fleet: Fleet,
    inventory: Inventory,
    runtime: Runtime,
    python: tuple[int, int] | None,
) -> dict[str, Layer]:
    """The layer of each host, by its name.

    Args:
        wanted: What is required.
        fleet: The hosts.
        inventory: The same hosts.
        runtime: Has one version on all hosts.
        python: Minor version that hosts must have, if the flow is shipped by value.

    Raises:
        HostsError: If hosts are not fit for anything, or something cannot be had for one.
    """
    problem = f"{inventory.deployment.name} not deployed"
    facts = {name: session.facts for name, session in fleet.sessions.items()}
    offsets = {name: session.clock_offset_s for name, session in fleet.sessions.items()}
    # First, as nothing should be fetched for a Python that will not do.
    raise_problems(problem, judge(facts, offsets, SPARE_BYTES, python))
    progress = fleet.progress

    def say(what: str) -> None:
        for name in facts:
            progress.phase("fetch", name, "started", what)

    progress.phase("fetch", None, "started")
    found = requirement_layers(wanted, targets(facts), say)
    _check_same(found, runtime, problem)
    for name, each in found.items():
        progress.phase("fetch", name, "done", size(each.layer.size))
    progress.phase("fetch", None, "done")
    return {name: each.layer for name, each in found.items()}


def _check_same(found: Mapping[str, RequirementsLayer], runtime: Runtime, problem: str) -> None:
    """Check that an engine has the same version everywhere, as its processes talk to each other."""
    for package in map(package_of, runtime.requirements):
        versions = {name: each.versions.get(package) for name, each in found.items()}
        usual = next(iter(versions.values()))
        failures = {
            name: VersionError(
                f"{package} {version}, the others {usual}", f"require {package}=={usual}"
            )
            for name, version in versions.items()
            if version != usual
        }
        if failures:
            raise HostsError(problem, failures, "nothing was changed")
