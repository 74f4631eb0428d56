"""What a flow requires, from each place that may say so: on hosts that have nothing of it."""

import json
import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from uv import find_uv_bin

from ctl.ui.quantities import size as in_units
from tests.fleet.fleets import Fleet
from tests.fleet.hosts import FleetHost
from tests.fleet.scripts import deploy, lines
from tests.fleet.site import Site

PINNED = "iniconfig==2.0.0"
COMMAND: dict[str, object] = {"runtime": "command", "command": ["python", "flow.py"]}
FLOW = """
from importlib.metadata import version

import iniconfig

assert iniconfig.IniConfig("none", data="[roses]\\nred=1").sections["roses"] == {"red": "1"}
print("iniconfig", version("iniconfig"), iniconfig.__file__, flush=True)
"""
SCRIPT = f"""\
# /// script
# dependencies = ["{PINNED}"]
# ///
"""
PROJECT = """\
[project]
name = "roses"
version = "1"
requires-python = ">=3.11"
dependencies = ["{}"]
"""


def in_inventory(site: Site) -> tuple[dict[str, object], str]:
    return {"requirements": [PINNED]}, FLOW


def in_file(site: Site) -> tuple[dict[str, object], str]:
    site.write("needs/flow.txt", f"# What the flow needs.\n{PINNED}\n")
    return {"requirements": "needs/flow.txt"}, FLOW


def in_flow(site: Site) -> tuple[dict[str, object], str]:
    # It comes before that of the project.
    site.write("pyproject.toml", PROJECT.format("iniconfig==1.1.1"))
    return {}, SCRIPT + FLOW


def in_project(site: Site) -> tuple[dict[str, object], str]:
    site.write("pyproject.toml", PROJECT.format(PINNED))
    return {}, FLOW


def in_lock(site: Site) -> tuple[dict[str, object], str]:
    site.write("pyproject.toml", PROJECT.format(PINNED))
    subprocess.run([find_uv_bin(), "lock", "--quiet"], cwd=site.folder, check=True)
    # What is locked counts, not what would do.
    site.write("pyproject.toml", PROJECT.format("iniconfig"))
    return {}, FLOW


@pytest.mark.parametrize("place", [in_inventory, in_file, in_flow, in_project, in_lock])
def test_what_is_required_is_on_the_host(
    loopback_fleet: Fleet, place: Callable[[Site], tuple[dict[str, object], str]]
) -> None:
    site, [host] = loopback_fleet.site(), loopback_fleet(1)
    options, flow = place(site)
    site.inventory([host], deployment={**COMMAND, **options})
    site.write("flow.py", flow)
    followed = site.ctl("deploy", "inventory.toml", "flow.py", "--follow")
    assert followed.returncode == 0, followed.stderr
    [line] = [each["text"] for each in lines(site)]
    layer = host.home / ".hostmesh" / "layers"
    name, version, path = line.split()
    assert (name, version) == ("iniconfig", "2.0.0")
    assert Path(path).is_relative_to(layer)


def layers(host: FleetHost) -> list[str]:
    """The digests of layers that have the package."""
    return [
        Path(path).parent.name
        for path in host.run("find", ".hostmesh/layers", "-name", "iniconfig").split()
    ]


def pruned(site: Site, *words: str) -> dict[str, dict[str, Any]]:
    """The layers that a prune removes, or would, by their digests."""
    ran = site.ctl("prune", "--json", *words)
    assert ran.returncode == 0, ran.stderr
    [host] = json.loads(ran.stdout)["hosts"]
    return {layer["digest"]: layer for layer in host["layers"]}


def test_deployments_share_a_layer_until_none_of_them_uses_it(fleet: Fleet) -> None:
    [host] = fleet(1)
    red, white = sites = {"red": fleet.site(), "white": fleet.site()}

    def start(name: str, *requirements: str) -> None:
        sites[name].inventory(
            [host],
            name=name,
            deployment={
                "runtime": "command",
                "command": ["sleep", "1000"],
                "requirements": requirements,
            },
            keys={host.name: {"mesh_port": 9000 + [red, white].index(name)}},
        )
        sites[name].write("flow.py", f"# {name} {requirements}")
        deploy(sites[name])

    start(red, PINNED)
    start(white, PINNED)
    [shared] = layers(host)
    start(red)
    assert shared not in pruned(sites[red])
    start(white)
    would = pruned(sites[white], "--dry-run")
    assert would[shared]["kind"] == "requirements"
    listed = sites[white].ctl("prune", "--dry-run").stdout
    size = re.escape(in_units(would[shared]["bytes"]))
    assert re.search(rf"^alpha +requirements +{shared[:12]} +{size}$", listed, re.MULTILINE), listed
    assert layers(host) == [shared]
    assert pruned(sites[white]) == would
    assert not layers(host)
