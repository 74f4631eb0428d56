"""`ctl trust`: show the host keys of all hosts and bastions, and store those that are new."""

import sys
from collections.abc import Sequence
from getpass import getpass
from typing import TYPE_CHECKING, Annotated

import typer

from ctl.cli.inventory import find
from ctl.cli.opening import interruptible
from ctl.cli.options import ConnectTimeout, InventoryArgument
from ctl.errors import UsageError
from ctl.ui.console import say, show
from ctl.ui.quantities import count

if TYPE_CHECKING:
    from ctl.trust import Offer


def trust(
    inventory: InventoryArgument = None,
    *,
    yes: Annotated[
        bool, typer.Option("--yes", "-y", help="Store new keys without a question.")
    ] = False,
    connect_timeout: ConnectTimeout = 10.0,
) -> None:
    """Show the host keys of all hosts and bastions; store those that are new.

    A key that has changed is never stored.

    \b
    ctl trust inventory.toml
    """  # noqa: D301 - the formatter of help texts reads the escape
    # `ctl --help` does without them.
    from ctl import trust as keys
    from ctl.inventory import load
    from ctl.transport import SshSettings

    path = find(inventory)
    settings = SshSettings(
        connect_timeout=connect_timeout,
        ask=getpass if sys.stdin.isatty() else None,
        trust_command=f"ctl trust {path}",
    )
    with interruptible("keys that were agreed to are stored"):
        stored = keys.trust(
            load(path).hosts, settings, _show, lambda new: yes or _agrees(len(new), str(path))
        )
    say(f"{count(len(stored), 'key')} stored" if stored else "all keys are known")


def _show(offers: Sequence["Offer"]) -> None:
    from ctl.ui.table import table

    rows = [
        (str(offer.hop), offer.key.type, offer.key.fingerprint, offer.judgement.verdict.value)
        for offer in offers
    ]
    if rows:
        show(table(("HOST", "TYPE", "FINGERPRINT", "STATE"), rows))


def _agrees(number: int, path: str) -> bool:
    if not sys.stdin.isatty():
        problem = f"{count(number, 'key')} would be stored, and there is no terminal to ask on"
        raise UsageError(problem, f"compare the fingerprints, then: ctl trust {path} --yes")
    said = f"Are these the fingerprints of your hosts? Store {count(number, 'new key')}?"
    return typer.confirm(said, err=True)
