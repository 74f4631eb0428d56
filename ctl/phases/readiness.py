"""Wait until all processes of a launch are ready; if one fails, find out which was the first."""

from collections.abc import Mapping
from typing import Any

from ctl.errors import BY_EXIT_CODE, CtlError, HostsError, LostError, ProcessFailedError
from ctl.phases.fleet import Fleet
from ctl.plan import Plan
from ctl.transport.session import Session

READY_TIMEOUT_S = 120.0
"""Seconds that processes have to become ready."""

_CAUSE_S = 7.0
"""Seconds that a process has to end after its failure, once others have lost it."""


class _GivenUpError(CtlError):
    """A host that might have become ready; it explains nothing."""


class _PeerLostError(LostError):
    """A process that ended because another had failed."""


def await_ready(plan: Plan, fleet: Fleet, launch: str, problem: str) -> None:
    """Wait until all processes are ready, or have finished.

    Args:
        plan: What a deploy is to bring about.
        fleet: The hosts.
        launch: ID of the launch.
        problem: What does not come about if one fails.

    Raises:
        HostsError: If one fails or is not ready in time; what others follow from comes first.
    """
    _Waiting(plan, fleet, launch).wait(problem)


class _Waiting:
    def __init__(self, plan: Plan, fleet: Fleet, launch: str) -> None:
        self._plan, self._fleet, self._launch = plan, fleet, launch
        self._hosts = plan.inventory.hosts
        self._gave_up = False

    def wait(self, problem: str) -> None:
        try:
            self._fleet.phase("ready", self._on_host, problem, self._hosts)
        except HostsError as error:
            raise self._first_cause(error) from None

    def _on_host(self, session: Session) -> None:
        def say(event: Mapping[str, Any], _data: bytes) -> None:
            detail = f"process {event['process']}: {event['reason']}"
            self._fleet.progress.phase("ready", session.host.name, "started", detail)

        try:
            state = session.ask("ready", launch=self._launch, timeout=READY_TIMEOUT_S, on_event=say)
            if state is not None:
                raise self._process_error(state)
        except CtlError:
            # The others would wait for it until their time is up.
            self._give_up_others(session)
            raise
        if self._gave_up:
            msg = "not waited for, since another host has failed"
            raise _GivenUpError(msg)

    def _give_up_others(self, failed: Session) -> None:
        self._gave_up = True
        for session in self._fleet.sessions.values():
            if session is not failed:
                session.interrupt()

    def _process_error(self, state: Mapping[str, Any]) -> CtlError:
        code, number = state["exit_code"], state["signal"]
        how = (
            f"ended with exit code {code}" if code is not None else f"was killed by signal {number}"
        )
        if state["note"]:
            how = state["note"]
        cause = self._plan.runtime.cause(state["tail"]).strip()
        text = f"process {state['id']} {how}"
        if cause:
            text += "\n" + "\n".join(f"    {line}" for line in cause.splitlines())
        if code is None:
            return LostError(text)
        if code == LostError.exit_code:
            return _PeerLostError(text)
        if code == CtlError.exit_code and not self._plan.runtime.needs_engine:
            # Of our engine a bug of ours, but any Python program ends so after an exception.
            return ProcessFailedError(text)
        return BY_EXIT_CODE.get(code, ProcessFailedError)(text)

    def _first_cause(self, error: HostsError) -> HostsError:
        """Put the failure that the others follow from first: a lost peer is a consequence."""
        found = [item for item in error.failures.items() if not isinstance(item[1], _GivenUpError)]
        if all(isinstance(each, _PeerLostError) for _, each in found):
            # It was ready already, or not waited for any more, or has not ended yet.
            found = [*self._own_failures().items(), *found]
        found.sort(key=lambda item: isinstance(item[1], LostError))
        failures: dict[str, CtlError] = {}
        for host, each in found:
            failures.setdefault(host, each)
        return HostsError(error.problem, failures)

    def _own_failures(self) -> dict[str, CtlError]:
        """Processes that failed for a reason of their own, by host."""
        self._fleet.progress.note("a process has lost its peers; looking for what failed first")

        def first_failure(session: Session) -> dict[str, Any] | None:
            # It may be one of those that were given up.
            session.resume()
            state: dict[str, Any] | None = session.ask(
                "first_failure", launch=self._launch, seconds=_CAUSE_S
            )
            return state

        states = self._fleet.each(first_failure, self._hosts).results.items()
        return {host: self._process_error(state) for host, state in states if state is not None}
