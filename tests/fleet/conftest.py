"""Fixtures that hand out hosts, and the hosts' logs when a test fails.

A test that asks for `fleet` runs once on containers and once on loopback; `docker_fleet` and
`loopback_fleet` are for what needs one of them.
"""

import sys
from collections.abc import Generator, Iterator

import pytest

from tests.fleet import sshd
from tests.fleet.docker_hosts import DockerPool, engine
from tests.fleet.fleets import Fleet
from tests.fleet.hosts import FleetHost, Pool
from tests.fleet.loopback_hosts import LoopbackPool, own_block
from tests.fleet.runs import Run, this_run

FLEET = pytest.StashKey[Fleet]()
# Making the images takes a while where the network is slow.
DOCKER_TIMEOUT = 900


@pytest.fixture(scope="session")
def test_run() -> Iterator[Run]:
    with this_run() as run:
        yield run


@pytest.fixture(scope="session")
def docker_pool(test_run: Run, pytestconfig: pytest.Config) -> Iterator[DockerPool]:
    client = engine()
    if isinstance(client, str):
        pytest.skip(client)
    capture = pytestconfig.pluginmanager.getplugin("capturemanager")

    def notice(text: str) -> None:
        with capture.global_and_fixture_disabled():
            print(text, file=sys.stderr, flush=True)

    try:
        pool = DockerPool(client, test_run, notice)
        try:
            pool.reap()
            yield pool
        finally:
            pool.close()
    finally:
        client.close()


@pytest.fixture(scope="session")
def loopback_pool(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LoopbackPool]:
    if reason := sshd.unavailable():
        pytest.skip(reason)
    with own_block() as block:
        yield LoopbackPool(tmp_path_factory.mktemp("loopback"), block)


def _fleet(
    pool: Pool, request: pytest.FixtureRequest, factory: pytest.TempPathFactory
) -> Iterator[Fleet]:
    fleet = request.node.stash[FLEET] = Fleet(pool, factory.mktemp("fleet"))
    yield fleet
    del request.node.stash[FLEET]
    fleet.close()


@pytest.fixture
def docker_fleet(
    docker_pool: DockerPool,
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Fleet]:
    yield from _fleet(docker_pool, request, tmp_path_factory)


@pytest.fixture
def loopback_fleet(
    loopback_pool: LoopbackPool,
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Fleet]:
    yield from _fleet(loopback_pool, request, tmp_path_factory)


@pytest.fixture(params=["docker", "loopback"])
def fleet(request: pytest.FixtureRequest) -> Fleet:
    made: Fleet = request.getfixturevalue(f"{request.param}_fleet")
    return made


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Have tests of a file with containers run one after the other, with time for the images."""
    for item in filter(_has_containers, items):
        if not item.get_closest_marker("xdist_group"):
            item.add_marker(pytest.mark.xdist_group(f"docker {item.path.stem}"))
        if not item.get_closest_marker("timeout"):
            item.add_marker(pytest.mark.timeout(DOCKER_TIMEOUT))


def _has_containers(item: pytest.Item) -> bool:
    if {"docker_fleet", "docker_pool"}.intersection(getattr(item, "fixturenames", ())):
        return True
    call = getattr(item, "callspec", None)
    # Other tests have arrays for parameters, which cannot be compared to a text.
    texts = [each for each in call.params.values() if isinstance(each, str)] if call else []
    return "docker" in texts


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Show the logs of all hosts of a test that has failed."""
    report = yield
    if report.failed and (fleet := item.stash.get(FLEET, None)):
        report.sections += [(f"host {host.name}", _logs(host)) for host in fleet.hosts]
    return report


def _logs(host: FleetHost) -> str:
    try:
        return host.logs()
    except Exception as error:
        return f"no logs: {error!r}"
