"""Real hosts for tests: machines with sshd that can be killed, cut off and filled up."""

from tests.fleet.fleets import Fleet
from tests.fleet.hosts import FleetHost, Process
from tests.fleet.proxy import Proxy
from tests.fleet.site import Site
from tests.fleet.sshd import Sshd

__all__ = ["Fleet", "FleetHost", "Process", "Proxy", "Site", "Sshd"]
