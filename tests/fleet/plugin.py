"""Fixtures that hand out fleets of hosts, and the hosts' logs when a test fails."""

from collections.abc import Generator, Iterator, Sequence
from contextlib import ExitStack
from typing import Protocol

import pytest

from tests.fleet import loopback as on_loopback
from tests.fleet.containers import Containers, engine
from tests.fleet.hosts import Fleet, Host
from tests.fleet.loopback import Loopback
from tests.fleet.runs import Run, this_run

FLEETS = pytest.StashKey[list[Fleet]]()


class MakeFleet(Protocol):
    """What the fixture `fleet` is.

    `python` is the version of all hosts or of each; `disk_mib` gives the home of deploy a disk
    of this size, whose content is lost with the power.
    """

    def __call__(
        self,
        count: int,
        *,
        python: str | Sequence[str] | None = None,
        disk_mib: int | None = None,
    ) -> Fleet: ...


@pytest.fixture(scope="session")
def test_run() -> Iterator[Run]:
    with this_run() as run:
        yield run


@pytest.fixture(scope="session")
def containers(test_run: Run) -> Iterator[Containers]:
    client = engine()
    if isinstance(client, str):
        pytest.skip(client)
    containers = Containers(client, test_run)
    try:
        containers.reap()
        containers.make_images()
        yield containers
    finally:
        client.close()


@pytest.fixture(scope="session")
def loopback() -> Loopback:
    if reason := on_loopback.unavailable():
        pytest.skip(reason)
    return Loopback()


@pytest.fixture(params=["containers", "loopback"])
def fleet(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[MakeFleet]:
    """Make fleets of hosts that are gone when the test is over."""
    backend: Containers | Loopback = request.getfixturevalue(request.param)
    fleets = request.node.stash.setdefault(FLEETS, [])
    with ExitStack() as stack:

        def make(
            count: int,
            *,
            python: str | Sequence[str] | None = None,
            disk_mib: int | None = None,
        ) -> Fleet:
            pythons = python or backend.python
            pythons = [pythons] * count if isinstance(pythons, str) else pythons
            assert len(pythons) == count
            folder = tmp_path_factory.mktemp("fleet")
            made = stack.enter_context(backend.fleet(pythons, folder, disk_mib))
            fleets.append(made)
            return made

        yield make
    fleets.clear()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Give tests time to make the images of the hosts first."""
    for item in items:
        names = {"containers", "fleet", "kind"}.intersection(getattr(item, "fixturenames", ()))
        if names and not item.get_closest_marker("timeout"):
            item.add_marker(pytest.mark.timeout(900))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Show the logs of all hosts of a test that has failed."""
    report = yield
    if report.failed:
        for fleet in item.stash.get(FLEETS, []):
            report.sections += [(f"host {host.name}", _logs(host)) for host in fleet.hosts]
    return report


def _logs(host: Host) -> str:
    try:
        return host.logs()
    except Exception as error:
        return f"no logs: {error!r}"
