"""Inventories that tests read, and what is wrong with them."""

import re
from pathlib import Path

from ctl.errors import InventoryError
from ctl.inventory import Inventory, read

FILE = Path("inventory.toml")
HOST = '[[hosts]]\nname = "alpha"\naddress = "10.0.0.1"\n'
DEPLOYMENT = '[deployment]\nname = "flights"\n'
PROBLEM = re.compile(r"inventory\.toml:(\d+): (.+)")


def inventory(text: str) -> Inventory:
    return read(text.encode(), FILE)


def problems(text: str | bytes) -> list[str]:
    """Each line of the error, `line: problem; fix`; empty if the inventory is valid."""
    data = text.encode() if isinstance(text, str) else text
    try:
        read(data, FILE)
    except InventoryError as error:
        raised = error
    else:
        return []
    assert raised.exit_code == 78
    lines = str(raised).split("\n")
    matches = [PROBLEM.fullmatch(line) for line in lines]
    assert all(matches), lines
    last = data.count(b"\n") + 1
    assert all(1 <= int(match[1]) <= last for match in matches if match)
    return [line.removeprefix("inventory.toml:") for line in lines]
