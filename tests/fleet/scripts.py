"""Deployments of plain scripts, by the runtime in `plugin`: much lighter than dataflows."""

import json
from collections.abc import Sequence
from typing import Any

from tests.fleet.plugin import script_runtime
from tests.fleet.site import Site

SCRIPT = {"runtime": "script"}


def scripting(site: Site) -> Site:
    """Give an operator the runtime `script`."""
    site.env["PYTHONPATH"] = str(script_runtime.FOLDER)
    return site


def deploy(site: Site, *, flow: str = "flow.py", timeout: float = 60) -> None:
    """Deploy, which has to succeed."""
    deployed = site.ctl("deploy", "inventory.toml", flow, timeout=timeout)
    assert deployed.returncode == 0, deployed.stderr


def status(site: Site) -> dict[str, Any]:
    """What `ctl status` tells."""
    told: dict[str, Any] = json.loads(site.ctl("status", "--json").stdout)
    return told


def processes(site: Site) -> list[dict[str, Any]]:
    """What it tells of the processes."""
    found: list[dict[str, Any]] = status(site)["processes"]
    return found


def states(site: Site) -> list[str]:
    """What it tells of their states."""
    return [each["state"] for each in processes(site)]


def lines(site: Site, *words: object) -> Sequence[dict[str, Any]]:
    """What `ctl logs` tells."""
    logs = site.ctl("logs", "--json", *words)
    assert logs.returncode == 0, logs.stderr
    # Not `splitlines`: a text may hold what Python, unlike JSON, takes for the end of a line.
    return [json.loads(line) for line in logs.stdout.split("\n") if line]
