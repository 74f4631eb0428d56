"""Real hosts for tests: machines with sshd that can be killed, cut off and filled up.

A test asks for the fixture `fleet` and runs once on containers and once on loopback; with one
of the marks `on_containers` and `on_loopback` only there.
"""

import pytest

from tests.fleet.hosts import Fleet, Host
from tests.fleet.plugin import MakeFleet

__all__ = ["Fleet", "Host", "MakeFleet", "on_containers", "on_loopback"]

on_containers = pytest.mark.parametrize("fleet", ["containers"], indirect=True)
on_loopback = pytest.mark.parametrize("fleet", ["loopback"], indirect=True)
