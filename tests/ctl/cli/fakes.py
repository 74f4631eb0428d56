"""A deployment without hosts, for the commands to talk to."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from ctl.errors import CtlError
from ctl.logs import LogLine
from ctl.reports import CheckReport, CheckRow, Deployed, Reach, Stopped
from ctl.status import DeploymentStatus, HostStatus, ProcessStatus

T = TypeVar("T")

RELEASE = "7c1e2a" + "0" * 58


class FakeHost(NamedTuple):
    name: str


class FakePlace(NamedTuple):
    id: int
    host: FakeHost
    address: str


@dataclass
class FakeInventory:
    path: Path
    hosts: tuple[FakeHost, ...] = (FakeHost("alpha"), FakeHost("beta"))
    processes: tuple[FakePlace, ...] = (
        FakePlace(0, FakeHost("alpha"), "192.168.1.10:9000"),
        FakePlace(1, FakeHost("beta"), "192.168.1.11:9000"),
    )


def running(**changes: Any) -> DeploymentStatus:
    hosts = [
        HostStatus("alpha", True, None, RELEASE, 0.01),
        HostStatus("beta", True, None, RELEASE),
    ]
    processes = [
        ProcessStatus(0, "alpha", "192.168.1.10:9000", "running", 4711, 7455.0, 0, None, 1, 9, 3),
        ProcessStatus(1, "beta", "192.168.1.11:9000", "running", 4712, 42.0, 1, None, 1, 8, 2),
    ]
    return DeploymentStatus.of("flights", hosts, processes, **changes)


def line(second: int, process: int = 0, text: str = "text") -> LogLine:
    host = ("alpha", "beta")[process]
    return LogLine(f"2026-11-24T18:39:{second:02}.000000Z", host, process, "out", text)


@dataclass
class FakeDeployment:
    """Does what a test has set; an exception is raised instead."""

    calls: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    name: str = "flights"
    inventory: FakeInventory = field(default_factory=lambda: FakeInventory(Path("inventory.toml")))
    deployed: Deployed | BaseException = field(
        default_factory=lambda: Deployed(RELEASE, 3, 4, 41_234, 1.84, "running")
    )
    report: CheckReport | BaseException = field(
        default_factory=lambda: CheckReport(
            (
                CheckRow("alpha", "3.11.2", "0.2.0", 41_200_000_000, 0.012, 1024),
                CheckRow("beta", "3.11.2", "0.2.0", 999_600, -0.3, 65536),
            ),
            (
                Reach("alpha", "beta", "192.168.1.11:9000"),
                Reach("beta", "alpha", "192.168.1.10:9000"),
            ),
            0,
        )
    )
    statuses: list[DeploymentStatus | BaseException] = field(default_factory=lambda: [running()])
    lines: list[LogLine | BaseException] = field(default_factory=list)
    stopped: Stopped | BaseException = field(
        default_factory=lambda: Stopped({0: "stopped", 1: "stopped"}, 0)
    )
    code: int = 0
    trace: list[tuple[Any, ...]] = field(default_factory=list)
    loading: CtlError | None = None
    progress: Any = None
    closed: bool = False

    def load(self, path: Path, **settings: Any) -> "FakeDeployment":
        self.progress = settings.pop("progress")
        self.calls.append(("load", {"path": str(path), **settings}))
        if self.loading:
            raise self.loading
        return self

    def deploy(self, flow: str, **how: Any) -> Deployed:
        self.calls.append(("deploy", {"flow": flow, **how}))
        for method, *words in self.trace:
            getattr(self.progress, method)(*words)
        return given(self.deployed)

    def check(self) -> CheckReport:
        return given(self.report)

    def status(self) -> DeploymentStatus:
        return given(self.statuses.pop(0))

    def logs(self, **wanted: Any) -> Iterator[LogLine]:
        self.calls.append(("logs", wanted))
        for each in self.lines:
            yield given(each)

    def follow(self, show: Any) -> int:
        for each in self.lines:
            show(given(each))
        return self.code

    def stop(self, *, grace: float) -> Stopped:
        self.calls.append(("stop", {"grace": grace}))
        return given(self.stopped)

    def close(self) -> None:
        self.closed = True


def given(value: T | BaseException) -> T:
    if isinstance(value, BaseException):
        raise value
    return value
