from contextlib import ExitStack

import pytest

from tests.ctl.remote.relay.two_hosts import InThread, TwoHosts, start_program, write_certificates


@pytest.fixture(scope="session")
def certificates(tmp_path_factory):
    folder = tmp_path_factory.mktemp("certificates") / "tls"
    write_certificates(folder, 0, 1, 2)
    return folder


@pytest.fixture
def hosts(tmp_path, certificates):
    (tmp_path / "tls").symlink_to(certificates)
    return TwoHosts(tmp_path)


@pytest.fixture
def start(hosts):
    """Start the relay of a process in a thread."""
    with ExitStack() as stack:

        def start(k, **settings):
            relay = InThread(hosts.settings(k, **settings))
            stack.callback(relay.stop)
            return relay

        yield start


@pytest.fixture
def relays(start):
    return [start(k) for k in (0, 1)]


@pytest.fixture
def programs(hosts):
    """The relays of both hosts, each a process."""
    file = hosts.write_launch()
    running = [start_program(file, k) for k in (0, 1)]
    yield running
    for each in running:
        each.kill()
        each.wait()
        each.stdin.close()
        each.stderr.close()
