"""The hosts that take part, each with its session, and how to do something on all at once."""

import threading
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from ctl.errors import CtlError, HostsError
from ctl.inventory import Host
from ctl.progress import PhaseName, Progress
from ctl.transport.session import Session

T = TypeVar("T")

Mended = Mapping[str, Any] | None
"""As `ctl.remote.changes.Change.mend` has it."""

AT_ONCE = 32
"""Hosts at once."""

_GLANCE_SECONDS = 0.1
_FAREWELL_SECONDS = 15.0


@dataclass(frozen=True)
class Outcome(Generic[T]):
    """What came of doing something on hosts.

    Args:
        results: Of the hosts where it was done, by name, in their order.
        failures: The errors of the others.
    """

    results: Mapping[str, T]
    failures: Mapping[str, CtlError]


def in_order(hosts: Iterable[Host], failures: Mapping[str, CtlError]) -> dict[str, CtlError]:
    """Failures as hosts come in the inventory: the exit code of the first counts."""
    return {host.name: failures[host.name] for host in hosts if host.name in failures}


def on_each(
    hosts: Iterable[Host], work: Callable[[Host], T], pool: ThreadPoolExecutor
) -> Outcome[T]:
    """Do something on all hosts at once, and wait for all.

    Args:
        hosts: Which.
        work: What to do; a `CtlError` that it raises is that host's failure.
        pool: Whose threads do it.
    """
    futures = {host.name: pool.submit(work, host) for host in hosts}
    _wait(futures.values())
    results, failures = {}, {}
    for name, future in futures.items():
        error = future.exception()
        if error is None:
            results[name] = future.result()
        elif isinstance(error, CtlError):
            failures[name] = error
        else:
            raise error
    return Outcome(results, failures)


def _wait(futures: Iterable["Future[T]"]) -> None:
    waiting = set(futures)
    while waiting:
        # A wait without an end would not notice Ctrl-C everywhere.
        _, waiting = wait(waiting, _GLANCE_SECONDS)


@dataclass
class Fleet:
    """Hosts with their sessions.

    Args:
        progress: Is told what happens.
        sessions: By the name of the host, in inventory order.
        interrupted: Set once the user wants an end.
    """

    progress: Progress
    sessions: dict[str, Session] = field(default_factory=dict)
    interrupted: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        self._pool = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="host")

    @property
    def hosts(self) -> list[Host]:
        """All of them."""
        return [session.host for session in self.sessions.values()]

    def each(self, work: Callable[[Session], T], hosts: Iterable[Host] | None = None) -> Outcome[T]:
        """Do something on all hosts, or some, at once."""
        chosen = self.hosts if hosts is None else list(hosts)
        return on_each(chosen, lambda host: work(self.sessions[host.name]), self._pool)

    def lock(self, deployment: str, who: Mapping[str, Any]) -> Outcome[Mended]:
        """Lock a deployment on all hosts; if the first refuses, on none.

        So of two operators one gets all, and the other nothing.

        Args:
            deployment: Its name.
            who: Who wants it: `user`, `host`, `command`, `since`.

        Returns:
            What was put right on each that a cut-off deploy had left, if anything.
        """

        def lock(session: Session) -> Mended:
            mended: Mended = session.ask("lock", deployment=deployment, who=dict(who))["mended"]
            return mended

        first = self.each(lock, self.hosts[:1])
        if first.failures:
            return first
        others = self.each(lock, self.hosts[1:])
        return Outcome({**first.results, **others.results}, others.failures)

    def phase(
        self,
        name: PhaseName,
        work: Callable[[Session], T],
        problem: str,
        hosts: Iterable[Host] | None = None,
    ) -> dict[str, T]:
        """Do something on all hosts at once, as one phase.

        Args:
            name: Of the phase.
            work: What to do.
            problem: What does not come about if it fails.
            hosts: Which hosts; all by default.

        Raises:
            HostsError: If it fails on any host.
        """

        def work_and_say(session: Session) -> T:
            host = session.host.name
            self.progress.phase(name, host, "started")
            try:
                result = work(session)
            except CtlError as error:
                self.progress.phase(name, host, "failed", error.problem)
                raise
            self.progress.phase(name, host, "done")
            return result

        self.progress.phase(name, None, "started")
        outcome = self.each(work_and_say, hosts)
        if outcome.failures:
            self.progress.phase(name, None, "failed")
            raise HostsError(problem, outcome.failures)
        self.progress.phase(name, None, "done")
        return dict(outcome.results)

    def interrupt(self) -> None:
        """Have what is under way end soon; a session that does not is closed."""
        self.interrupted.set()
        for session in self.sessions.values():
            session.interrupt()
        self._pool.shutdown(wait=False, cancel_futures=True)
        for session in self.sessions.values():
            if not session.is_idle(_FAREWELL_SECONDS):
                session.close()
        self._pool = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="host")

    def close(self) -> None:
        """End all sessions; what was not committed is undone on the hosts."""
        for session in self.sessions.values():
            session.close()
        self._pool.shutdown(wait=False, cancel_futures=True)
