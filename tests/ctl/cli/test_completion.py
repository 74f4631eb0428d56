"""What a shell offers for hosts and processes."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from ctl.cli.completion import complete_host, complete_process

INVENTORY = """
[deployment]
name = "flights"
[[hosts]]
name = "alpha"
ssh = "alpha.example"
address = "192.168.1.10"
processes = 10
[[hosts]]
name = "beta"
ssh = "beta.example"
address = "192.168.1.11"
"""


@pytest.fixture
def context(tmp_path) -> Any:
    path: Path = tmp_path / "fleet.toml"
    path.write_text(INVENTORY)
    return SimpleNamespace(params={"inventory": path})


def test_hosts(context):
    assert complete_host(context, "") == ["alpha", "beta"]
    assert complete_host(context, "b") == ["beta"]


def test_processes_with_their_hosts(context):
    assert complete_process(context, "1") == [("1", "alpha"), ("10", "beta")]


def test_an_inventory_that_is_wrong_offers_nothing(context):
    context.params["inventory"].write_text("?")
    assert (complete_host(context, ""), complete_process(context, "")) == ([], [])


def test_an_inventory_that_is_not_there_offers_nothing(context):
    context.params["inventory"].unlink()
    assert complete_host(context, "") == []
