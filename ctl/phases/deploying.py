"""A deploy, all or nothing: either every reachable host runs the new release, or the old one.

Each host holds the deployment's lock while its session lives. Until the commit, a host whose
session is lost goes back to what it ran by itself.
"""

import secrets as random
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from ctl.errors import BY_EXIT_CODE, CtlError, HostsError, LostError, ProcessFailedError
from ctl.inventory import Host
from ctl.phases.checking import (
    SPARE_BYTES,
    absent,
    judge,
    merged,
    raise_problems,
    reach,
    unreached,
)
from ctl.phases.fleet import Fleet
from ctl.phases.looking import look
from ctl.plan import Plan
from ctl.progress import Progress
from ctl.remote.changes import REVERT_GRACE
from ctl.reports import Deployed, Problem
from ctl.status import DeploymentState
from ctl.transport.session import Session

SWITCH_GRACE_S = 30.0
"""Seconds that processes of the old release have to end in order."""

READY_TIMEOUT_S = 120.0
"""Seconds that processes of the new one have to become ready."""


_CAUSE_S = 7.0
"""Seconds that a process has to end after its failure, once others have lost it."""


class _GivenUpError(CtlError):
    """A host that might have become ready; it explains nothing."""


class _PeerLostError(LostError):
    """A process that ended because another had failed."""


@dataclass
class Deploy:
    """One deploy.

    Args:
        plan: What it is to bring about.
        fleet: The hosts of the inventory, and those that have left it and answer.
        progress: Is told what happens.
        secrets: Values by variable.
        who: Who deploys: `user`, `host`, `command`, `since`.
        started: When the user began to wait, as `time.monotonic()`.
        failures: Why hosts of the inventory have not answered, by name.
    """

    plan: Plan
    fleet: Fleet
    progress: Progress
    secrets: Mapping[str, str]
    who: Mapping[str, Any]
    started: float = field(default_factory=time.monotonic)
    failures: Mapping[str, CtlError] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._name = self.plan.inventory.deployment.name
        self._launch = f"{time.strftime('%Y%m%dT%H%M%S', time.gmtime())}-{random.token_hex(3)}"
        self._problem = f"{self._name} not deployed"
        self._looks: dict[str, dict[str, Any]] = {}
        self._pushed_bytes = 0
        self._switched = self._gave_up = self._lost = False

    def run(self) -> Deployed:
        """Go through all phases.

        Raises:
            HostsError: If a host fails; then every host that is reachable runs what it ran.
            KeyboardInterrupt: If the user has interrupted it; the same holds.
        """
        committed = False
        try:
            self._check_hosts()
            self._lock()
            self._look()
            self._check_ports()
            self._push()
            self._stage()
            self._switch()
            self._await_ready()
            committed = True
            self._commit()
        except HostsError as error:
            if not committed:
                self._undo()
                error.outcome = self._outcome()
            raise
        except KeyboardInterrupt:
            self.progress.note(
                f"interrupted; {self._name} is put back, Ctrl-C again leaves at once"
            )
            self.fleet.interrupt()
            if not committed:
                self._undo()
            raise
        return Deployed(
            self.plan.release,
            len(self.plan.inventory.hosts),
            len(self.plan.inventory.processes),
            self._pushed_bytes,
            time.monotonic() - self.started,
            self._state(),
        )

    # The phases.

    def _check_hosts(self) -> None:
        self.progress.phase("check", None, "started")
        sessions = self._sessions_of_inventory()
        facts = {name: session.facts for name, session in sessions.items()}
        offsets = {name: session.clock_offset_s for name, session in sessions.items()}
        needed = {
            name: SPARE_BYTES + 2 * sum(layer.size for layer in self.plan.layers_of(session.host))
            for name, session in sessions.items()
        }
        # Who fixes one host is to know at once what is wrong with the others.
        self._judged(absent(self.failures), judge(facts, offsets, needed, self.plan.python))

    def _lock(self) -> None:
        outcome = self.fleet.lock(self._name, self.who)
        for host, mended in outcome.results.items():
            if mended is None:
                continue
            text = "put back what a cut-off deploy had left"
            if mended["problem"] is not None:
                self._lost = True
                text = (
                    f"what a cut-off deploy has ended cannot be started again: {mended['problem']}"
                )
            self.progress.note(f"{host}: {text}")
        if outcome.failures:
            self.progress.phase("check", None, "failed")
            raise HostsError(self._problem, outcome.failures)

    def _look(self) -> None:
        def look(session: Session) -> dict[str, Any]:
            digests = [layer.digest for layer in self.plan.layers_of(session.host)]
            answer: dict[str, Any] = session.ask(
                "look", deployment=self._name, layers=digests, release=self.plan.release
            )
            return answer

        outcome = self.fleet.each(look)
        if outcome.failures:
            raise HostsError(self._problem, outcome.failures)
        self._looks = dict(outcome.results)

    def _check_ports(self) -> None:
        own = {name: look["ports"] for name, look in self._looks.items()}
        inner = self.plan.addresses if self.plan.relayed else ()
        problems, pairs = reach(self.fleet, self.plan.inventory, own, inner)
        self._judged(problems, unreached(pairs))
        self.progress.phase("check", None, "done")

    def _push(self) -> None:
        def push(session: Session) -> int:
            host = session.host.name
            layers = {layer.digest: layer for layer in self.plan.layers_of(session.host)}
            missing = [layers[digest] for digest in self._looks[host]["missing"]]
            total, sent = sum(layer.size for layer in missing), 0

            def count(size: int) -> None:
                nonlocal sent
                sent += size
                self.progress.pushed(host, sent, max(sent, total))

            for layer in missing:
                session.push(layer, count)
            return sent

        pushed = self.fleet.phase("push", push, self._problem, self.plan.inventory.hosts)
        self._pushed_bytes = sum(pushed.values())

    def _stage(self) -> None:
        files = self._files()

        def stage(session: Session) -> None:
            launch = self.plan.launch(session.host, self._launch)
            if self._looks[session.host.name]["checked"]:
                # What is prepared may have been removed since.
                launch["checks"] = []
            own = files(session.host) if launch["processes"] else {}
            secrets = dict(self.secrets) if launch["processes"] else {}
            session.ask("stage", launch=launch, files=own, secrets=secrets)

        self.fleet.phase("stage", stage, self._problem)

    def _files(self) -> Callable[[Host], dict[str, str]]:
        """What proves to peers that a process belongs to this start, for each host its own."""
        secret = random.token_hex(32)
        if not self.plan.encrypted:
            return lambda _: {"mesh-secret": secret}
        # Slow to import, and a mesh on loopback does without.
        from ctl.certificates import mint

        places = self.plan.inventory.processes
        minted = mint(self._name, (place.id for place in places))

        def files(host: Host) -> dict[str, str]:
            texts = {"mesh-secret": secret, "tls/ca.pem": minted.authority}
            for place in places:
                if place.host == host:
                    certificate, key = minted.processes[place.id]
                    texts |= {f"tls/{place.id}.pem": certificate, f"tls/{place.id}.key": key}
            return texts

        return files

    def _switch(self) -> None:
        def begin(session: Session) -> None:
            self.progress.phase("switch", session.host.name, "started")
            session.ask("begin_switch", launch=self._launch)

        # Before anything stops on any of them: a cluster ends as a whole.
        begun = self.fleet.each(begin)
        if begun.failures:
            self.progress.phase("switch", None, "failed")
            raise HostsError(self._problem, begun.failures)
        self._switched = True
        halted = self.fleet.each(lambda session: session.ask("halt", grace=SWITCH_GRACE_S))
        if halted.failures:
            self.progress.phase("switch", None, "failed")
            raise HostsError(self._problem, halted.failures)
        self.fleet.phase(
            "switch",
            lambda session: session.ask("switch", launch=self._launch, grace=SWITCH_GRACE_S),
            self._problem,
        )

    def _await_ready(self) -> None:
        hosts = self.plan.inventory.hosts

        def await_ready(session: Session) -> None:
            def say(event: Mapping[str, Any], _data: bytes) -> None:
                detail = f"process {event['process']}: {event['reason']}"
                self.progress.phase("ready", session.host.name, "started", detail)

            try:
                state = session.ask(
                    "ready", launch=self._launch, timeout=READY_TIMEOUT_S, on_event=say
                )
                if state is not None:
                    raise self._process_error(state)
            except CtlError:
                # The others would wait for it until their time is up.
                self._give_up_others(session)
                raise
            if self._gave_up:
                msg = "not waited for, since another host has failed"
                raise _GivenUpError(msg)

        try:
            self.fleet.phase("ready", await_ready, self._problem, hosts)
        except HostsError as error:
            raise self._first_cause(error) from None

    def _give_up_others(self, failed: Session) -> None:
        self._gave_up = True
        for session in self.fleet.sessions.values():
            if session is not failed:
                session.interrupt()

    def _commit(self) -> None:
        problem = f"{self._name} is deployed, but not all hosts have confirmed it"
        self.progress.phase("commit", None, "started")
        outcome = self.fleet.each(lambda session: session.ask("commit", launch=self._launch))
        self.fleet.each(lambda session: session.ask("unlock"))
        if outcome.failures:
            self.progress.phase("commit", None, "failed")
            raise HostsError(problem, outcome.failures, "deploy again to bring all hosts in line")
        self.progress.phase("commit", None, "done")

    # What it means.

    def _undo(self) -> None:
        """Have every host go back; one that is lost does so by itself."""
        if self._switched:
            # First on all, or what one starts again would meet what another still runs.
            self.fleet.each(lambda session: session.ask("halt", grace=REVERT_GRACE))
        else:
            self.fleet.each(lambda session: session.ask("forget_switch"))
        self.fleet.each(lambda session: session.ask("unlock"))

    def _state(self) -> DeploymentState:
        state = look(self.fleet, {}, self.plan.inventory, self.plan.runtime).state
        # All were ready; what is about to end may have closed its connections already.
        return "running" if state == "starting" else state

    def _outcome(self) -> str:
        release = next(
            (look["current"]["release"] for look in self._looks.values() if look["current"]), None
        )
        if self._lost:
            return f"release {(release or '')[:6]} could not be started again everywhere"
        if release is None:
            return "nothing was left behind" if self._switched else "nothing was changed"
        return f"release {release[:6]} still runs" if self._switched else "nothing was changed"

    def _judged(self, *found: Mapping[str, tuple[Problem, ...]]) -> None:
        problems = merged(self.plan.inventory, *found)
        for name in (name for name in problems if name in self.fleet.sessions):
            for each in problems[name]:
                self.progress.phase("check", name, "failed", each.problem)
        if any(problems.values()):
            self.progress.phase("check", None, "failed")
        raise_problems(self._problem, problems)

    def _sessions_of_inventory(self) -> dict[str, Session]:
        names = {host.name for host in self.plan.inventory.hosts}
        return {name: each for name, each in self.fleet.sessions.items() if name in names}

    def _process_error(self, state: Mapping[str, Any]) -> CtlError:
        code, number = state["exit_code"], state["signal"]
        how = (
            f"ended with exit code {code}" if code is not None else f"was killed by signal {number}"
        )
        if state["note"]:
            how = state["note"]
        cause = self.plan.runtime.cause(state["tail"]).strip()
        text = f"process {state['id']} {how}"
        if cause:
            text += "\n" + "\n".join(f"    {line}" for line in cause.splitlines())
        if code is None:
            return LostError(text)
        if code == LostError.exit_code:
            return _PeerLostError(text)
        if code == CtlError.exit_code and not self.plan.runtime.needs_engine:
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
        self.progress.note("a process has lost its peers; looking for what failed first")

        def first_failure(session: Session) -> dict[str, Any] | None:
            # It may be one of those that were given up.
            session.resume()
            state: dict[str, Any] | None = session.ask(
                "first_failure", launch=self._launch, seconds=_CAUSE_S
            )
            return state

        states = self.fleet.each(first_failure, self.plan.inventory.hosts).results.items()
        return {host: self._process_error(state) for host, state in states if state is not None}
