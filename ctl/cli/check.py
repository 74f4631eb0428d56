"""`ctl check`: find out whether a deploy would work, and change nothing."""

from ctl.cli.ending import Ended
from ctl.cli.inventory import find
from ctl.cli.opening import interruptible, opened
from ctl.cli.options import AcceptNewHostKeys, ConnectTimeout, InventoryArgument
from ctl.ui.console import say, show
from ctl.ui.live import working_view
from ctl.ui.summary import check_table, check_verdict


def check(
    inventory: InventoryArgument = None,
    *,
    accept_new_host_keys: AcceptNewHostKeys = False,
    connect_timeout: ConnectTimeout = 10.0,
) -> None:
    """Check all hosts and the way between them; change nothing.

    \b
    ctl check inventory.toml
    """  # noqa: D301 - the formatter of help texts reads the escape
    view = working_view()
    with opened(
        find(inventory),
        view,
        accept_new_host_keys=accept_new_host_keys,
        connect_timeout=connect_timeout,
    ) as deployment:
        with interruptible("nothing was changed"), view:
            report = deployment.check()
        show(check_table(report))
        say(check_verdict(deployment.name, report))
        raise Ended(report.exit_code)
