"""Connect: a session on every host."""

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor

from ctl.errors import CtlError
from ctl.inventory import Host
from ctl.layers import Layer
from ctl.phases.fleet import AT_ONCE, Fleet, Outcome, on_each
from ctl.progress import Progress
from ctl.remote.bootstrap import COMMAND
from ctl.transport.channel import Channel
from ctl.transport.session import Session

Open = Callable[[Host, str], Channel]
"""Runs a command on a host and gives the channel to it."""


def connect(
    hosts: Iterable[Host], open_channel: Open, agent: Layer, progress: Progress
) -> tuple[Fleet, Outcome[Session]]:
    """Begin a session on all hosts at once.

    Args:
        hosts: Which.
        open_channel: How.
        agent: The layer with the code for hosts.
        progress: Is told of each host, as soon as it is known.

    Returns:
        The hosts that answer, and what came of all. The caller closes the fleet.
    """
    fleet = Fleet(progress)
    chosen = list(hosts)

    def begin(host: Host) -> Session:
        progress.phase("connect", host.name, "started")
        try:
            session = _begin(host, open_channel, agent)
        except CtlError as error:
            progress.phase("connect", host.name, "failed", error.problem)
            raise
        # At once, so that whoever interrupts us finds it to close it.
        fleet.sessions[host.name] = session
        progress.phase("connect", host.name, "done")
        return session

    progress.phase("connect", None, "started")
    pool = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="connect")
    try:
        outcome = on_each(chosen, begin, pool)
    except BaseException:
        fleet.close()
        raise
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
    fleet.sessions = dict(outcome.results)
    progress.phase("connect", None, "failed" if outcome.failures else "done")
    return fleet, outcome


def _begin(host: Host, open_channel: Open, agent: Layer) -> Session:
    channel = open_channel(host, COMMAND)
    try:
        return Session(host, channel, agent)
    except BaseException:
        channel.close()
        raise
