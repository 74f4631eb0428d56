"""What a flow requires of a package index: found, resolved and downloaded here, for the hosts."""

from ctl.requirements.layers import RequirementsLayer, requirement_layers
from ctl.requirements.sources import Wanted, find, package_of
from ctl.requirements.targets import Target, targets

__all__ = [
    "RequirementsLayer",
    "Target",
    "Wanted",
    "find",
    "package_of",
    "requirement_layers",
    "targets",
]
