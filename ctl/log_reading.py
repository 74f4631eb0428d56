"""Read the logs of a deployment from its hosts, and take them up again where a connection broke."""

import threading
from collections.abc import Generator, Mapping
from typing import TYPE_CHECKING, Any

from ctl.errors import CtlError, HostsError, LostError, UnreachableError
from ctl.inventory import Host
from ctl.logs import Follower, LogLine, merge, parse
from ctl.phases.fleet import in_order
from ctl.progress import Progress

if TYPE_CHECKING:
    from ctl.deployment import Deployment
    from ctl.transport.session import Session

_PROBLEM = "not all logs could be read"

_PAUSES = (0.2, 0.5, 1.0, 2.0, 5.0)
"""Seconds between two tries to reach a host again; the last one repeats."""


class LogReading:
    """One look at logs.

    Args:
        deployment: Whose.
        hosts: Where.
        wanted: What of them, as `ctl.remote.following` takes it.
        progress: Is told of hosts that cannot be read.
    """

    def __init__(
        self,
        deployment: "Deployment",
        hosts: tuple[Host, ...],
        wanted: Mapping[str, Any],
        progress: Progress,
    ) -> None:
        self._deployment = deployment
        self._hosts = hosts
        self._wanted = dict(wanted)
        self._progress = progress
        self._over = threading.Event()
        self._sessions: dict[str, Session] = {}
        self._errors: dict[str, CtlError] = {}

    def read(self) -> Generator[LogLine]:
        """Give what is there, in the order of time.

        Raises:
            HostsError: After the lines of the others, if a host cannot be read.
        """
        with self._deployment.connected(self._hosts) as (fleet, outcome):
            found = fleet.each(self._all)
        failures = {**outcome.failures, **found.failures}
        streams = [
            parse(name, process, data)
            for name, logs in found.results.items()
            for process, data in logs.items()
        ]
        yield from merge(streams)
        self._raise(failures)

    def follow(self) -> Generator[LogLine]:
        """Give what is there and what comes, in the order of time.

        Raises:
            HostsError: At the end, if a host was never reached.
        """
        follower = Follower(host.name for host in self._hosts)
        threads = [
            threading.Thread(target=self._follow_host, args=(host, follower), daemon=True)
            for host in self._hosts
        ]
        closer = threading.Thread(target=_close_after, args=(threads, follower), daemon=True)
        for thread in (*threads, closer):
            thread.start()
        try:
            for batch in follower.batches():
                yield from batch
        finally:
            self._over.set()
            for session in list(self._sessions.values()):
                session.close()
            follower.close()
        self._raise(self._errors)

    def _raise(self, errors: Mapping[str, CtlError]) -> None:
        """Raise what came, that of the first host first."""
        if errors:
            raise HostsError(_PROBLEM, in_order(self._hosts, errors))

    def _all(self, session: "Session") -> dict[int, bytes]:
        logs: dict[int, list[bytes]] = {}
        name = self._deployment.name
        for event, data in session.stream("logs", deployment=name, wanted=self._wanted):
            logs.setdefault(event["process"], []).append(data)
        return {process: b"".join(chunks) for process, chunks in sorted(logs.items())}

    def _follow_host(self, host: Host, follower: Follower) -> None:
        """Follow one host until its logs have ended, however often the connection breaks."""
        cursors: dict[str, list[int]] = {}
        tries, reached = 0, False
        while not self._over.is_set():
            try:
                with self._deployment.connected((host,)) as (fleet, outcome):
                    if outcome.failures:
                        raise outcome.failures[host.name]
                    session = self._sessions[host.name] = fleet.sessions[host.name]
                    if tries:
                        self._progress.note(f"{host.name}: connected again")
                    tries, reached = 0, True
                    self._follow_session(session, follower, cursors)
            except (LostError, UnreachableError) as error:
                if self._over.is_set():
                    return
                if not reached:
                    # Who was never there may be a slip of the pen; waiting would hide it.
                    self._errors[host.name] = error
                    self._progress.warn(f"{host.name}: {error}")
                    follower.push(host.name, [])
                    return
                if not tries:
                    self._progress.warn(f"{host.name}: {error.problem}; trying to connect again")
                self._over.wait(_PAUSES[min(tries, len(_PAUSES) - 1)])
                tries += 1
            except CtlError as error:
                self._errors[host.name] = error
                self._progress.warn(f"{host.name}: {error}")
                follower.push(host.name, [])
                return
            else:
                return

    def _follow_session(
        self, session: "Session", follower: Follower, cursors: dict[str, list[int]]
    ) -> None:
        wanted = {**self._wanted, "follow": True, "cursors": cursors}
        host = session.host.name
        name = self._deployment.name
        for event, data in session.stream("logs", deployment=name, wanted=wanted):
            if self._over.is_set():
                return
            if event.get("caught_up"):
                follower.push(host, [])
                continue
            if data:
                follower.push(host, parse(host, event["process"], data))
            cursors[str(event["process"])] = event["cursor"]


def _close_after(threads: list[threading.Thread], follower: Follower) -> None:
    for thread in threads:
        thread.join()
    follower.close()
