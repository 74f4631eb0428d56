"""Show lines of logs as they come."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from ctl.logs import LogLine
from ctl.ui.console import is_terminal, put, takes_colour
from ctl.ui.lines import Format, for_machines, for_people
from ctl.ui.writer import Writer

if TYPE_CHECKING:
    from ctl.deployment import Deployment


@contextmanager
def shower(deployment: "Deployment", *, as_json: bool) -> Iterator[Callable[[LogLine], None]]:
    """Give what shows a line on stdout; at the end of the `with` all is written."""
    form: Format = for_machines
    if not as_json:
        hosts = {place.id: place.host.name for place in deployment.inventory.processes}
        form = for_people(hosts, terminal=is_terminal(sys.stdout), colour=takes_colour(sys.stdout))
    with Writer(put) as writer:
        yield lambda line: writer.write(form(line))
