"""The Python API: a deployment, and what can be done with it; the commands are made of it."""

import getpass
import os
import socket
import time
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from ctl.errors import HostsError, NotFoundError
from ctl.inventory import Host, Inventory, load, read_secrets, resolve
from ctl.layers import CodeLayer, Layer, agent_layer, code_layer, engine_layer
from ctl.logs import LogLine
from ctl.phases.checking import SPARE_BYTES, absent, judge, merged, reach, row, unreached
from ctl.phases.connecting import connect
from ctl.phases.departing import join_departed
from ctl.phases.deploying import Deploy
from ctl.phases.fetching import fetch, wanted_by
from ctl.phases.fleet import Fleet, Outcome, in_order
from ctl.phases.looking import look
from ctl.plan import make_plan
from ctl.progress import Progress, Silent
from ctl.reports import (
    CheckReport,
    CheckRow,
    Deployed,
    Problem,
    Pruned,
    PrunedHost,
    PrunedLayer,
    Reach,
    Stopped,
)
from ctl.runtimes import Runtime, find_runtime, runtime_options
from ctl.status import DeploymentStatus
from ctl.transport.channel import Channel
from ctl.transport.opening import open_channel
from ctl.transport.session import Session
from ctl.transport.ssh.config import hostname_of
from ctl.transport.ssh.settings import SshSettings
from ctl.ui.redact import redact

if TYPE_CHECKING:
    from engine.dataflow import Dataflow

HostKeys = Literal["strict", "accept-new"]


class Deployment:
    """A named deployment on the hosts of an inventory.

    Args:
        inventory: Its hosts and settings.
        host_keys: Whether unknown host keys are refused (`strict`) or stored (`accept-new`).
        connect_timeout: Seconds that a host has to answer.
        ask: Asks the user for a passphrase; None where there is nobody to ask.
        progress: Is told what happens.
    """

    def __init__(
        self,
        inventory: Inventory,
        *,
        host_keys: HostKeys = "strict",
        connect_timeout: float = 10.0,
        ask: Callable[[str], str | None] | None = None,
        progress: Progress | None = None,
    ) -> None:
        self._progress = progress or Silent()
        self._ssh = SshSettings(
            host_keys=host_keys,
            connect_timeout=connect_timeout,
            ask=ask,
            trust_command=f"ctl trust {inventory.path}",
        )
        self._agent: Layer | None = None
        self.inventory = resolve(inventory, self._hostname_of)
        self.runtime: Runtime = find_runtime(inventory.deployment.runtime)

    @classmethod
    def load(cls, path: str | Path, **settings: Any) -> "Deployment":
        """Read an inventory.

        Args:
            path: Of the file.
            settings: As the class takes them.

        Raises:
            NotFoundError: If there is no such file.
            InventoryError: If it is not as it should be.
        """
        return cls(load(Path(path), runtime_options()), **settings)

    @property
    def name(self) -> str:
        """What it is called in the inventory."""
        return self.inventory.deployment.name

    def check(self) -> CheckReport:
        """Look whether all hosts are fit for a deploy; every failure is in the report.

        Raises:
            CtlError: If the runtime cannot do what the inventory asks for.
        """
        self.runtime.refuse(self.inventory)
        with self._connected() as (fleet, outcome):
            facts = {name: session.facts for name, session in fleet.sessions.items()}
            offsets = {name: session.clock_offset_s for name, session in fleet.sessions.items()}
            looked = fleet.each(self._look)
            listening, pairs = self._reach(fleet, looked.results)
            problems = merged(
                self.inventory,
                judge(facts, offsets, SPARE_BYTES),
                absent(looked.failures),
                listening,
                unreached(pairs),
            )
            rows = tuple(self._row(host, fleet, outcome, problems) for host in self.inventory.hosts)
        codes = [each.exit_code for row_ in rows for each in row_.problems]
        return CheckReport(rows, pairs, codes[0] if codes else 0)

    def deploy(self, flow: "str | Dataflow", *, insecure: bool = False) -> Deployed:
        """Push a flow and have all hosts run it, or leave all as they were.

        Args:
            flow: A FLOW argument, or a dataflow that was built here and is shipped by value.
            insecure: Whether the mesh may do without TLS beyond one machine.

        Raises:
            HostsError: If a host fails; it names each.
            CtlError: If the flow or a secret is not there.
            KeyboardInterrupt: If the user has interrupted it; its text is what that has left.
        """
        started = time.monotonic()
        with ExitStack() as sessions:
            with _interrupt_leaves("nothing was changed"):
                deploy = self._prepared(flow, started, sessions, insecure=insecure)
            return deploy.run()

    def _prepared(
        self, flow: "str | Dataflow", started: float, sessions: ExitStack, *, insecure: bool
    ) -> Deploy:
        self.runtime.refuse(self.inventory)
        named = flow if isinstance(flow, str) else None
        self.runtime.refuse_flow(named)
        code, layers = self._code(flow), self._layers()
        wanted = wanted_by(named, self.inventory, self.runtime)
        secrets = read_secrets(self.inventory, os.environ)
        redact.hide(*secrets.values())
        if insecure:
            self._progress.warn(
                "--insecure: the mesh is neither encrypted nor authenticated by TLS"
            )
        fleet, outcome = sessions.enter_context(self._connected())
        requirements: dict[str, Layer] = {}
        if wanted is not None and not outcome.failures:
            requirements = fetch(wanted, fleet, self.inventory, self.runtime, code.python)
        plan = make_plan(
            self.inventory,
            self.runtime,
            code,
            layers,
            requirements=requirements,
            insecure=insecure,
        )
        for sentence in self.runtime.warnings(self.inventory):
            self._progress.warn(sentence)
        if not outcome.failures:
            join_departed(fleet, self.inventory, self._open, self._agent_layer(), self._progress)
        who = self._who("deploy")
        return Deploy(plan, fleet, self._progress, secrets, who, started, outcome.failures)

    def status(self) -> DeploymentStatus:
        """What is known of it just now; hosts that do not answer are part of that."""
        with self._connected() as (fleet, outcome):
            return look(fleet, outcome.failures, self.inventory, self.runtime)

    def logs(
        self,
        *,
        follow: bool = False,
        lines: int | None = None,
        since: datetime | None = None,
        processes: tuple[int, ...] | None = None,
        hosts: tuple[str, ...] | None = None,
    ) -> Generator[LogLine]:
        """What the processes have written, in the order of time.

        Args:
            follow: Whether to go on with what they write from now on.
            lines: So many of the last lines of each process; all by default.
            since: None that are older.
            processes: Of these processes only.
            hosts: Of these hosts only.
        """
        from ctl.log_reading import LogReading

        wanted = {
            "lines": lines,
            "since": None if since is None else f"{since.astimezone(UTC):%Y-%m-%dT%H:%M:%S.%f}Z",
            "processes": None if processes is None else list(processes),
        }
        reading = LogReading(self, self._chosen(hosts), wanted, self._progress)
        return reading.follow() if follow else reading.read()

    def follow(self, show: Callable[[LogLine], None]) -> int:
        """Pass on what the processes write, from their start, until all have ended.

        Args:
            show: Takes each line.

        Returns:
            The exit code of the dataflow.
        """
        from ctl.log_reading import LogReading

        wanted = {"of_launch": True, "until_ended": True}
        with closing(
            LogReading(self, self.inventory.hosts, wanted, self._progress).follow()
        ) as lines:
            for line in lines:
                show(line)
        return self.status().exit_code

    def close(self) -> None:
        """Nothing is kept open between two calls; there for who uses it in a `with`."""

    def stop(self, *, grace: float = 60.0) -> Stopped:
        """Stop all processes in order, or after some seconds by force.

        Args:
            grace: Seconds.

        Raises:
            HostsError: If a host fails; the others are stopped nevertheless.
        """
        with self._connected() as (fleet, outcome):
            problem = f"{self.name} not stopped everywhere"
            locked = fleet.lock(self.name, self._who("stop"))
            failures = in_order(self.inventory.hosts, {**outcome.failures, **locked.failures})
            if failures and not locked.results:
                raise HostsError(problem, failures, "nothing was changed")
            stoppable = [host for host in fleet.hosts if host.name in locked.results]
            # A cluster ends as a whole, so that some end before their own host was asked.
            fleet.each(lambda session: session.ask("announce_stop", grace=grace), stoppable)
            stopped = fleet.each(lambda session: session.ask("stop", grace=grace), stoppable)
            fleet.each(lambda session: session.ask("unlock"))
            failures = in_order(self.inventory.hosts, {**failures, **stopped.failures})
            if failures:
                raise HostsError(problem, failures, "all other hosts have stopped")
        states = {each["id"]: each["state"] for found in stopped.results.values() for each in found}
        if not states:
            msg = f"{self.name} is not deployed on these hosts"
            raise NotFoundError(msg)
        return Stopped(dict(sorted(states.items())), 0)

    def prune(self, *, dry_run: bool = False) -> Pruned:
        """Remove layers and releases that no deployment of these hosts uses, not only this one.

        Args:
            dry_run: Whether they are only listed.

        Raises:
            HostsError: If a host fails, or somebody is deploying there; the others are pruned.
        """
        with self._connected() as (fleet, outcome):
            pruned = fleet.each(lambda session: session.ask("prune", dry_run=dry_run))
            failures = in_order(self.inventory.hosts, {**outcome.failures, **pruned.failures})
            if failures:
                problem = "not all hosts were pruned"
                raise HostsError(problem, failures, "the others were")
        hosts = tuple(
            PrunedHost(
                name,
                tuple(PrunedLayer(**layer) for layer in answer["layers"]),
                answer["releases"],
            )
            for name, answer in pruned.results.items()
        )
        return Pruned(hosts, dry_run)

    # How it is done.

    @contextmanager
    def connected(self, hosts: tuple[Host, ...]) -> Iterator[tuple[Fleet, Outcome[Session]]]:
        """Sessions on some hosts, closed at the end."""
        fleet, outcome = connect(hosts, self._open, self._agent_layer(), self._progress)
        try:
            yield fleet, outcome
        finally:
            fleet.close()

    def _chosen(self, names: tuple[str, ...] | None) -> tuple[Host, ...]:
        return tuple(host for host in self.inventory.hosts if names is None or host.name in names)

    def _connected(self) -> Any:
        return self.connected(self.inventory.hosts)

    def _open(self, host: Host, command: str) -> Channel:
        return open_channel(host, command, self._ssh)

    def _hostname_of(self, host: Host) -> str:
        return hostname_of(host, self._ssh.config)

    def _agent_layer(self) -> Layer:
        self._agent = self._agent or agent_layer()
        return self._agent

    def _layers(self) -> dict[str, Layer]:
        layers = {"agent": self._agent_layer()}
        if self.runtime.needs_engine:
            layers["engine"] = engine_layer()
        return layers

    def _code(self, flow: "str | Dataflow") -> CodeLayer:
        if isinstance(flow, str):
            folder = self.inventory.path.parent
            return code_layer(flow, self.inventory.deployment.include, folder, Path.cwd())
        from ctl.layers.pickled import pickled_flow

        return pickled_flow(flow, self.inventory.deployment.include, self.inventory.path.parent)

    def _look(self, session: Session) -> dict[str, Any]:
        found: dict[str, Any] = session.ask("look", deployment=self.name, layers=[], release="")
        return found

    def _reach(
        self, fleet: Fleet, looks: Mapping[str, Mapping[str, Any]]
    ) -> tuple[dict[str, tuple[Problem, ...]], tuple[Reach, ...]]:
        if any(each["changing"] is not None for each in looks.values()):
            # Whoever it is needs the ports that we would listen on.
            self._progress.warn("somebody is changing the deployment; ports are not looked at")
            return {}, ()
        held = {name: look["ports"] for name, look in looks.items()}
        return reach(fleet, self.inventory, self.runtime, held)

    def _row(
        self,
        host: Host,
        fleet: Fleet,
        outcome: Outcome[Session],
        problems: dict[str, tuple[Problem, ...]],
    ) -> CheckRow:
        from engine import __version__

        error = outcome.failures.get(host.name)
        if error is not None:
            return CheckRow(
                host.name, problems=(Problem(error.problem, error.fix, error.exit_code),)
            )
        return row(fleet.sessions[host.name], __version__, problems.get(host.name, ()))

    def _who(self, command: str) -> dict[str, str]:
        since = datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
        return {
            "user": getpass.getuser(),
            "host": socket.gethostname(),
            "command": command,
            "since": since,
        }


@contextmanager
def _interrupt_leaves(state: str) -> Iterator[None]:
    """Have an interrupt say what it has left."""
    try:
        yield
    except KeyboardInterrupt:
        raise KeyboardInterrupt(state) from None
