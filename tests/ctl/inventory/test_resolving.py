"""Addresses that are left to SSH."""

from dataclasses import replace

import pytest

from ctl.errors import InventoryError
from ctl.inventory import resolve
from tests.ctl.inventory.reading import DEPLOYMENT, inventory

TEXT = f"""{DEPLOYMENT}
[[hosts]]
name = "alpha"
address = "10.0.0.1"
[[hosts]]
name = "beta"
ssh = "beta-alias"
"""


def test_only_what_is_missing_is_asked_for():
    read = inventory(TEXT)
    with pytest.raises(ValueError, match="the address of beta is not known yet"):
        _ = read.processes
    asked = []

    def hostname_of(host):
        asked.append(host.ssh)
        return "2001:DB8::2"

    resolved = resolve(read, hostname_of)
    assert asked == ["beta-alias"]
    alpha, beta = read.hosts
    assert resolved.hosts == (alpha, replace(beta, address="2001:db8::2"))
    assert [str(each.address) for each in resolved.processes] == [
        "10.0.0.1:9000",
        "[2001:db8::2]:9000",
    ]
    assert resolved.where("hosts", 1) == "inventory.toml:7"


@pytest.mark.parametrize(
    ("hostname", "expected"),
    [
        ("10.0.0.1", "10.0.0.1:9000 is taken by alpha; give each its own address"),
        ("127.0.0.1", "address 127.0.0.1 is loopback, which other hosts cannot reach"),
        ("a b", "`address` is 'a b'; write an IP address or a host name"),
    ],
)
def test_what_ssh_says_is_checked_too(hostname, expected):
    with pytest.raises(InventoryError) as raised:
        resolve(inventory(TEXT), lambda _: hostname)
    assert str(raised.value).startswith(f"inventory.toml:7: hosts[1] (beta): {expected}")
