"""The example inventory and the page about inventories, beside the model."""

import json
import re
import tomllib
from dataclasses import fields
from importlib.resources import files
from pathlib import Path

import pytest
from jsonschema import Draft7Validator

from ctl.inventory import (
    RUNTIMES,
    DeploymentSettings,
    Host,
    Inventory,
    Recovery,
    SecretSource,
    load,
    read,
)

ROOT = Path(__file__).parents[1]
EXAMPLE = ROOT / "inventory.example.toml"
PAGE = (ROOT / "docs" / "inventory.md").read_text()
TABLES = re.compile(r"^```toml\n(.*?)^```$", re.MULTILINE | re.DOTALL)
VALIDATOR = Draft7Validator(json.loads((files("ctl.inventory") / "schema.json").read_text()))


def names(model: type) -> set[str]:
    return {each.name for each in fields(model)}


DEPLOYMENT_KEYS = (names(DeploymentSettings) - {"options"}) | set(RUNTIMES["engine"])
OTHER_KEYS = {key for each in RUNTIMES.values() for key in each} - set(RUNTIMES["engine"])


def uncommented(text: str) -> str:
    """The example with every key that it shows in a comment."""
    _, _, keys = text.partition("\n\n")
    return re.sub(r"^# (?=\[|\w+ = )", "", keys, flags=re.MULTILINE)


def test_the_example_is_valid():
    inventory = load(EXAMPLE)
    assert inventory.deployment == DeploymentSettings("flights")
    assert [str(each.address) for each in inventory.processes] == [
        "192.168.1.10:9000",
        "192.168.1.10:9001",
        "192.168.1.11:9000",
    ]
    VALIDATOR.validate(tomllib.loads(EXAMPLE.read_text()))


def test_the_example_shows_every_key():
    text = uncommented(EXAMPLE.read_text())
    shown = tomllib.loads(text)
    assert set(shown) == {"deployment", "defaults", "hosts"}
    assert set(shown["deployment"]) == DEPLOYMENT_KEYS
    assert set(shown["deployment"]["recovery"]) == names(Recovery)
    secrets = shown["deployment"]["secrets"].values()
    assert {key for secret in secrets for key in secret} == names(SecretSource)
    assert {key for host in (*shown["hosts"], shown["defaults"]) for key in host} == names(Host)
    assert shown["deployment"]["recovery"]["interval"] == Recovery("").interval
    VALIDATOR.validate(shown)
    inventory = read(text.encode(), EXAMPLE)
    alpha = inventory.hosts[0]
    assert (alpha.root, alpha.mesh_port) == (Host("").root, Host("").mesh_port)


def section(heading: str) -> str:
    return PAGE.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]


@pytest.mark.parametrize(
    ("heading", "keys"),
    [
        ("`[deployment]`", DEPLOYMENT_KEYS),
        ("Keys of other runtimes", OTHER_KEYS),
        ("Recovery", names(Recovery)),
        ("Secrets", names(SecretSource)),
        ("`[[hosts]]`", names(Host)),
    ],
)
def test_every_key_is_documented_and_no_other(heading, keys):
    assert set(re.findall(r"^\| `(\w+)` \|", section(heading), re.MULTILINE)) == keys


def shown_inventories() -> list[Inventory]:
    return [read(text.encode(), Path("inventory.toml")) for text in TABLES.findall(PAGE)]


def test_inventories_that_the_page_shows():
    smallest, secret, defaults = shown_inventories()
    assert smallest.hosts[0].ssh == "alpha"
    assert set(secret.deployment.secrets) == {"S3_SECRET", "API_TOKEN"}
    by_host = {
        host.name: [each.id for each in defaults.processes if each.host == host]
        for host in defaults.hosts
    }
    assert by_host == {"alpha": [0, 1], "beta": [2, 3, 4, 5], "gamma": [6, 7]}
