"""Engines of others on real hosts, none of which reaches a package index."""

import json
from collections import Counter

import pytest

from tests.engine.running import eventually
from tests.fleet.fleets import Fleet
from tests.fleet.hosts import FleetHost
from tests.fleet.site import Site

BYTEWAX = """
import bytewax.operators as op
from bytewax.connectors.stdio import StdOutSink
from bytewax.dataflow import Dataflow
from bytewax.testing import TestingSource

flow = Dataflow("words")
words = op.input("words", flow, TestingSource(("a rose is a rose " * 200).split()))
op.output("out", op.map("say", op.count_final("count", words, str), str), StdOutSink())
"""


def deploy(site: Site, *words: object, **env: str):
    return site.ctl("deploy", "inventory.toml", "flow.py", *words, timeout=180, **env)


def status(site: Site) -> dict:
    return json.loads(site.ctl("status", "--json").stdout)


def states(site: Site) -> list[str]:
    return [each["state"] for each in status(site)["processes"]]


@pytest.mark.parametrize("mesh", ["direct", "relay"])
def test_a_bytewax_flow_on_three_hosts(fleet: Fleet, mesh: str) -> None:
    site = fleet.site()
    site.inventory(fleet(3), deployment={"runtime": "bytewax", "mesh": mesh})
    site.write("flow.py", BYTEWAX)
    deployed = deploy(site, "--follow")
    assert deployed.returncode == 0, deployed.stderr
    assert ("whoever reaches a mesh port" in deployed.stderr) == (mesh == "direct")
    lines = sorted(line.partition("| ")[2] for line in deployed.stdout.splitlines() if "('" in line)
    assert lines == ["('a', 400)", "('is', 200)", "('rose', 400)"]
    assert states(site) == ["finished"] * 3
