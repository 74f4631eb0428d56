"""Against real servers on loopback."""

from collections.abc import Sequence

import pytest

from ctl.errors import HostsError, UnauthorisedError, UnreachableError
from ctl.inventory import Host
from ctl.transport.ssh.hostkeys import Verdict
from ctl.trust import Offer, survey, trust
from tests.ctl.transport.site import Site, echoes
from tests.engine.running import free_ports
from tests.fleet.keys import Key


class Somebody:
    """Looks at keys, and agrees or not."""

    def __init__(self, agrees: bool = True) -> None:
        self.shown: list[list[tuple[str, Verdict]]] = []
        self.asked: list[int] = []
        self._agrees = agrees

    def show(self, offers: Sequence[Offer]) -> None:
        self.shown.append([(offer.hop.name, offer.judgement.verdict) for offer in offers])

    def agree(self, offers: Sequence[Offer]) -> bool:
        self.asked.append(len(offers))
        return self._agrees


def run(site: Site, hosts: Sequence[Host], somebody: Somebody) -> tuple[Offer, ...]:
    return trust(hosts, site.settings(), somebody.show, somebody.agree)


def test_new_keys_are_shown_and_stored_without_a_login(site: Site) -> None:
    one, other = site.server(), site.server()
    site.know(other)
    hosts = [site.configure("alpha", one), site.configure("beta", other)]
    hosts.append(Host(name="here", transport="local"))
    somebody = Somebody()
    stored = run(site, hosts, somebody)
    assert [offer.hop.name for offer in stored] == ["alpha"]
    assert somebody.shown == [[("alpha", Verdict.UNKNOWN), ("beta", Verdict.KNOWN)]]
    assert somebody.asked == [1]
    assert site.known_hosts.read_text() == other.known_hosts_line + one.known_hosts_line
    assert "Accepted" not in one.log
    assert echoes(site.open(hosts[0]))


def test_nobody_is_asked_when_all_is_known(site: Site) -> None:
    server = site.server()
    site.know(server)
    somebody = Somebody()
    assert run(site, [site.configure("alpha", server)], somebody) == ()
    assert somebody.asked == []


def test_nothing_is_stored_against_somebodys_will(site: Site) -> None:
    host = site.configure("alpha", site.server())
    with pytest.raises(UnauthorisedError, match="no host key was stored"):
        run(site, [host], Somebody(agrees=False))
    assert not site.known_hosts.exists()


def test_hosts_on_one_server_are_one_key(site: Site) -> None:
    server = site.server()
    hosts = [site.configure("alpha", server), site.configure("beta", server)]
    somebody = Somebody()
    run(site, hosts, somebody)
    assert somebody.asked == [1]


def test_what_is_behind_a_new_bastion_comes_second(site: Site) -> None:
    bastion, server = site.server(), site.server()
    site.configure("jump", bastion)
    somebody = Somebody()
    run(site, [site.configure("alpha", server, "ProxyJump jump")], somebody)
    assert somebody.shown == [[("jump", Verdict.UNKNOWN)], [("alpha", Verdict.UNKNOWN)]]
    assert site.known_hosts.read_text() == bastion.known_hosts_line + server.known_hosts_line
    assert "Accepted" not in server.log


def test_no_login_at_a_bastion_that_is_not_trusted(site: Site) -> None:
    bastion, server = site.server(), site.server()
    site.configure("jump", bastion)
    host = site.configure("alpha", server, "ProxyJump jump")
    with pytest.raises(UnauthorisedError):
        run(site, [host], Somebody(agrees=False))
    assert "Accepted" not in bastion.log
    assert survey([host], site.settings()).waiting == (host,)


@pytest.mark.parametrize(
    ("marker", "verdict"), [("", Verdict.CHANGED), ("@revoked ", Verdict.REVOKED)]
)
def test_a_key_that_must_not_be_trusted_ends_it(marker: str, verdict: Verdict, site: Site) -> None:
    bad, new = site.server(), site.server()
    hosts = [site.configure("alpha", bad), site.configure("beta", new)]
    key = bad.host_key if marker else Key.new()
    before = f"{marker}[127.0.0.2]:{bad.port} {key.public}\n"
    site.known_hosts.write_text(before)
    somebody = Somebody()
    with pytest.raises(HostsError) as caught:
        run(site, hosts, somebody)
    assert caught.value.exit_code == 77
    assert somebody.shown == [[("alpha", verdict), ("beta", Verdict.UNKNOWN)]]
    assert somebody.asked == []
    assert site.known_hosts.read_text() == before
    if verdict is Verdict.CHANGED:
        assert "ssh-keygen -R" in caught.value.failures["alpha"].fix


def test_a_host_under_a_certificate_authority_gets_a_plain_line(site: Site) -> None:
    server = site.server()
    host = site.configure("alpha", server)
    site.known_hosts.write_text(f"@cert-authority * {Key.new().public}\n")
    run(site, [host], Somebody())
    assert echoes(site.open(host))


def test_a_host_that_is_down_does_not_keep_the_others_from_it(site: Site) -> None:
    server = site.server()
    hosts = [site.configure("down", ("127.0.0.1", free_ports(1)[0]))]
    hosts.append(site.configure("alpha", server))
    with pytest.raises(HostsError) as caught:
        run(site, hosts, Somebody())
    assert isinstance(caught.value.failures["down"], UnreachableError)
    assert caught.value.exit_code == 69
    assert site.known_hosts.read_text() == server.known_hosts_line
