"""A deploy, all or nothing: either every reachable host runs the new release, or the old one.

Each host holds the deployment's lock while its session lives. Until the commit, a host whose
session is lost goes back to what it ran by itself.
"""

import secrets as random
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from ctl.errors import CtlError, HostsError
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
from ctl.phases.readiness import await_ready
from ctl.plan import Plan
from ctl.progress import Progress
from ctl.remote.changes import REVERT_GRACE
from ctl.reports import Deployed, Problem
from ctl.status import DeploymentState, DeploymentStatus
from ctl.transport.session import Session

_Problems = Mapping[str, tuple[Problem, ...]]

SWITCH_GRACE_S = 30.0
"""Seconds that processes of the old release have to end in order."""


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
        self._switched = self._committing = self._confirmed = self._lost = False

    def run(self) -> Deployed:
        """Go through all phases.

        Raises:
            HostsError: If a host fails; then every host that is reachable runs what it ran.
            KeyboardInterrupt: If the user has interrupted it; its text is what runs now.
        """
        try:
            self._check_hosts()
            self._lock()
            self._look()
            self._check_ports()
            self._push()
            self._stage()
            self._switch()
            await_ready(self.plan, self.fleet, self._launch, self._problem)
            self._commit()
            state, status = self._state()
        except HostsError as error:
            if not self._committing:
                self._undo()
                error.outcome = self._outcome()
                running = self._running()
                if running is not None and not self._switched and not self._lost:
                    error.problem += f"; release {running[:6]} still runs"
            raise
        except KeyboardInterrupt:
            raise KeyboardInterrupt(self._interrupted()) from None
        return Deployed(
            self.plan.release,
            len(self.plan.inventory.hosts),
            len(self.plan.inventory.processes),
            self._pushed_bytes,
            time.monotonic() - self.started,
            state,
            status.failed,
            status.exit_code if status.failed else 0,
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
        found: list[_Problems] = [
            absent(self.failures),
            judge(facts, offsets, needed, self.plan.python),
        ]
        if any(any(each.values()) for each in found):
            # Who fixes one host is to know at once what else is wrong.
            looked = self.fleet.each(self._look_at)
            self._looks = dict(looked.results)
            found.append(absent(looked.failures))
            if all(look["changing"] is None for look in self._looks.values()):
                # Nobody needs the ports just now; the lock is not ours yet.
                found += self._reach()
        self._judged(*found)

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

    def _look_at(self, session: Session) -> dict[str, Any]:
        digests = [layer.digest for layer in self.plan.layers_of(session.host)]
        answer: dict[str, Any] = session.ask(
            "look", deployment=self._name, layers=digests, release=self.plan.release
        )
        return answer

    def _look(self) -> None:
        outcome = self.fleet.each(self._look_at)
        if outcome.failures:
            raise HostsError(self._problem, outcome.failures)
        self._looks = dict(outcome.results)

    def _check_ports(self) -> None:
        self._judged(*self._reach())
        self.progress.phase("check", None, "done")

    def _reach(self) -> tuple[_Problems, _Problems]:
        held = {name: look["ports"] for name, look in self._looks.items()}
        problems, pairs = reach(self.fleet, self.plan.inventory, self.plan.runtime, held)
        return problems, unreached(pairs)

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

    def _commit(self) -> None:
        problem = f"{self._name} is deployed, but not all hosts have confirmed it"
        self.progress.phase("commit", None, "started")
        # From here on nobody knows of each host whether it was heard.
        self._committing = True
        outcome = self.fleet.each(lambda session: session.ask("commit", launch=self._launch))
        self.fleet.each(lambda session: session.ask("unlock"))
        if outcome.failures:
            self.progress.phase("commit", None, "failed")
            raise HostsError(problem, outcome.failures, "deploy again to bring all hosts in line")
        self._confirmed = True
        self.progress.phase("commit", None, "done")

    def _interrupted(self) -> str:
        """Come to an end; say what runs then."""
        if self._committing:
            with suppress(KeyboardInterrupt):
                self.fleet.interrupt()
            runs = f"release {self.plan.release[:6]} runs"
            if self._confirmed:
                return runs
            return f"{runs}, but not all hosts may have confirmed it; deploy again to be sure"
        begun = f"{self._name} is put back, " if self._switched else ""
        self.progress.note(f"interrupted; {begun}Ctrl-C again leaves at once")
        self.fleet.interrupt()
        self._undo()
        return self._outcome()

    # What it means.

    def _undo(self) -> None:
        """Have every host go back; one that is lost does so by itself."""
        if self._switched:
            # First on all, or what one starts again would meet what another still runs.
            self.fleet.each(lambda session: session.ask("halt", grace=REVERT_GRACE))
        else:
            self.fleet.each(lambda session: session.ask("forget_switch"))
        self.fleet.each(lambda session: session.ask("unlock"))

    def _state(self) -> tuple[DeploymentState, DeploymentStatus]:
        status = look(self.fleet, {}, self.plan.inventory, self.plan.runtime)
        # All were ready; what is about to end may have closed its connections already.
        return "running" if status.state == "starting" else status.state, status

    def _running(self) -> str | None:
        """The release that ran when the deploy began."""
        looks = self._looks.values()
        # What runs holds ports.
        running = (each["current"] for each in looks if each["ports"] and each["current"])
        return next((each["release"] for each in running), None)

    def _outcome(self) -> str:
        release = self._running()
        if self._lost:
            return f"release {(release or '')[:6]} could not be started again everywhere"
        if not self._switched:
            return "nothing was changed"
        return f"release {release[:6]} still runs" if release else "nothing was left behind"

    def _judged(self, *found: _Problems) -> None:
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
