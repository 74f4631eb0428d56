import os
import pwd
from pathlib import Path

import pytest

from ctl.errors import InstallationError, InventoryError
from ctl.inventory import Host
from ctl.transport.ssh.config import hostname_of, route
from tests.ctl.transport.site import Site

HOME = Path(pwd.getpwuid(os.getuid()).pw_dir)


def test_what_ssh_config_says_counts(site: Site) -> None:
    host = site.configure(
        "alpha", ("10.0.0.1", 2222), "User deploy", "HostKeyAlias first", "ConnectTimeout 7"
    )
    (hop,) = route(host, site.settings().config)
    assert (hop.hostname, hop.port, hop.user) == ("10.0.0.1", 2222, "deploy")
    assert hop.identities == (site.identity,)
    assert hop.user_known_hosts == (site.known_hosts,)
    assert hop.key_name == "first"
    assert hop.connect_timeout == 7
    assert str(hop) == "alpha (10.0.0.1 port 2222)"


def test_includes_and_wildcards_count(site: Site) -> None:
    (site.folder / "more").write_text("Host *.example\n  HostName 10.0.0.9\n  User other\n")
    site.config.write_text(f"Include {site.folder}/more\n")
    host = Host(name="web", ssh="web.example")
    assert hostname_of(host, site.config) == "10.0.0.9"
    assert route(host, site.config)[0].user == "other"


def test_the_inventory_wins(site: Site) -> None:
    site.configure("alpha", ("10.0.0.1", 2222), "User deploy")
    host = site.host("alpha", user="root", ssh_port=2200)
    (hop,) = route(host, site.settings().config)
    assert (hop.port, hop.user) == (2200, "root")


def test_this_machine_needs_no_ssh() -> None:
    assert hostname_of(Host(name="here", transport="local")) == "127.0.0.1"


def test_tokens_and_homes_are_expanded(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KEYS", "/keys")
    # OpenSSH does not look at it either.
    monkeypatch.setenv("HOME", "/elsewhere")
    host = site.configure(
        "alpha",
        ("10.0.0.1", 2222),
        "User deploy",
        "IdentityFile ~/.ssh/%n-%r-%h-%p%%",
        "IdentityFile ${KEYS}/one",
        "IdentityAgent ~/agent",
        "UserKnownHostsFile ~/a /b",
    )
    (hop,) = route(host, site.settings().config)
    names = (HOME / ".ssh" / "alpha-deploy-10.0.0.1-2222%", Path("/keys/one"), site.identity)
    assert hop.identities == names
    assert hop.agent == str(HOME / "agent")
    assert hop.user_known_hosts == (HOME / "a", Path("/b"))


@pytest.mark.parametrize(
    ("value", "agent"),
    [("none", None), ("SSH_AUTH_SOCK", "/usual"), ("$OTHER", "/other"), ("/path", "/path")],
)
def test_agents(value: str, agent: str | None, site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSH_AUTH_SOCK", "/usual")
    monkeypatch.setenv("OTHER", "/other")
    host = site.configure("alpha", ("10.0.0.1", 22), f"IdentityAgent {value}")
    assert route(host, site.settings().config)[0].agent == agent


def test_without_a_word_about_it_the_agent_is_that_of_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "config").touch()
    monkeypatch.setenv("SSH_AUTH_SOCK", "/usual")
    assert route(Host(name="a", ssh="a"), tmp_path / "config")[0].agent == "/usual"
    monkeypatch.delenv("SSH_AUTH_SOCK")
    assert route(Host(name="a", ssh="a"), tmp_path / "config")[0].agent is None


def test_bastions_have_settings_of_their_own(site: Site) -> None:
    site.configure("outer", ("10.0.0.1", 22), "User one")
    site.configure("inner", ("10.0.0.2", 2222))
    host = site.configure("alpha", ("10.0.0.3", 22), "ProxyJump outer,two@inner:2200")
    hops = route(host, site.settings().config)
    assert [(hop.hostname, hop.port) for hop in hops] == [
        ("10.0.0.1", 22),
        ("10.0.0.2", 2200),
        ("10.0.0.3", 22),
    ]
    assert [hop.user for hop in hops[:2]] == ["one", "two"]


def test_the_first_bastion_may_be_behind_another_one(site: Site) -> None:
    site.configure("outer", ("10.0.0.1", 22))
    site.configure("inner", ("10.0.0.2", 22), "ProxyJump outer")
    host = site.configure("alpha", ("10.0.0.3", 22), "ProxyJump inner")
    hops = route(host, site.settings().config)
    assert [hop.name for hop in hops] == ["outer", "inner", "alpha"]


def test_no_bastion_where_there_is_to_be_none(site: Site) -> None:
    host = site.configure("alpha", ("10.0.0.3", 22), "ProxyJump none")
    assert len(route(host, site.settings().config)) == 1


def test_bastions_in_a_circle_are_refused(site: Site) -> None:
    site.configure("one", ("10.0.0.1", 22), "ProxyJump other")
    site.configure("other", ("10.0.0.2", 22), "ProxyJump one")
    with pytest.raises(InventoryError, match=r"in a circle: one -> other -> one -> other"):
        route(site.host("one"), site.settings().config)


def test_a_bastion_before_itself_is_refused(site: Site) -> None:
    site.config.write_text("Host *\n  ProxyJump bastion\n")
    with pytest.raises(InventoryError, match=r"loop|circle"):
        route(site.host("alpha"), site.config)


@pytest.mark.parametrize("setting", ["ProxyCommand nc %h %p", "RevokedHostKeys /keys"])
def test_what_cannot_be_followed_is_refused(setting: str, site: Site) -> None:
    host = site.configure("alpha", ("10.0.0.1", 22), setting)
    with pytest.raises(InventoryError, match=setting.split(maxsplit=1)[0]):
        route(host, site.settings().config)


def test_a_proxy_command_of_none_is_no_command(site: Site) -> None:
    host = site.configure("alpha", ("10.0.0.1", 22), "ProxyCommand none")
    assert len(route(host, site.settings().config)) == 1


def test_what_ssh_complains_about_is_said(site: Site) -> None:
    site.config.write_text("Host *\n  Prot 22\n")
    with pytest.raises(InventoryError, match=r"Bad configuration option: prot"):
        route(site.host("alpha"), site.config)


def test_a_name_is_never_an_option(site: Site, tmp_path: Path) -> None:
    host = Host(name="a", ssh=f"-oProxyCommand=touch {tmp_path}/hacked")
    with pytest.raises(InventoryError):
        route(host, site.settings().config)
    assert not (tmp_path / "hacked").exists()


def test_a_missing_program_is_said(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(InstallationError, match="no program `ssh`"):
        route(site.host("alpha"), site.settings().config)
