"""The inventory: which hosts run a deployment, read from TOML and checked."""

from ctl.inventory.keys import RUNTIMES
from ctl.inventory.model import (
    ROOT,
    DeploymentSettings,
    Host,
    Inventory,
    ProcessPlace,
    Recovery,
    SecretSource,
)
from ctl.inventory.reading import load, read, resolve
from ctl.inventory.secrets import read_secrets
from ctl.inventory.values import Check, WrongValueError

__all__ = [
    "ROOT",
    "RUNTIMES",
    "Check",
    "DeploymentSettings",
    "Host",
    "Inventory",
    "ProcessPlace",
    "Recovery",
    "SecretSource",
    "WrongValueError",
    "load",
    "read",
    "read_secrets",
    "resolve",
]
