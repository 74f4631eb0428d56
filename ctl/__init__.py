"""The control tool of hostmesh; it runs on the operator's machine.

`Deployment` is the API that the commands are made of:

    from ctl import Deployment

    deployment = Deployment.load("inventory.toml")
    deployment.deploy("flow.py")
    print(deployment.status().state)
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ctl.deployment import Deployment

__distribution__ = "hostmesh"
__all__ = ["Deployment"]


def __getattr__(name: str) -> Any:
    # What it needs takes a while to import, and most of `ctl` does without.
    if name == "Deployment":
        from ctl.deployment import Deployment

        return Deployment
    msg = f"module {__name__!r} has no attribute {name!r}"
    raise AttributeError(msg)
