"""`ctl trust`: whole outputs and exit codes."""

from pathlib import Path

import pytest

import ctl.trust
from ctl.transport.ssh.config import read
from ctl.transport.ssh.hostkeys import Entry, HostKey, Judgement, Verdict
from ctl.trust import Offer, Survey

OLD, NEW = HostKey("ssh-ed25519", b"old"), HostKey("ssh-ed25519", b"new")


def offer(name, verdict):
    values = {"hostname": ["10.0.0.1"], "user": ["deploy"], "port": ["22"]}
    entry = Entry("10.0.0.1", OLD, file="/known", line=3)
    return Offer(
        read(name, values), NEW, Judgement(verdict, None if verdict is Verdict.UNKNOWN else entry)
    )


@pytest.fixture
def stored(monkeypatch, tmp_path):
    (tmp_path / "fleet.toml").write_text('[deployment]\nname = "f"\n[[hosts]]\nname = "alpha"\n')
    kept = []
    monkeypatch.setattr(ctl.trust, "store", lambda hop, key: kept.append((hop.name, key)))
    return kept


@pytest.fixture
def see(monkeypatch):
    def see(*offers):
        monkeypatch.setattr(ctl.trust, "survey", lambda hosts, settings: Survey(offers, (), {}))

    return see


def test_new_keys_are_stored_with_yes(run_ctl, see, stored):
    see(offer("alpha", Verdict.UNKNOWN), offer("10.0.0.1", Verdict.KNOWN))
    assert run_ctl("trust", "fleet.toml", "--yes") == (
        "HOST              TYPE         FINGERPRINT                                         STATE\n"
        f"alpha (10.0.0.1)  ssh-ed25519  {NEW.fingerprint}  new\n"
        f"10.0.0.1          ssh-ed25519  {NEW.fingerprint}  known\n"
        "--- stderr\n"
        "1 key stored\n"
        "--- exit 0\n"
    )
    assert stored == [("alpha", NEW)]


def test_nothing_is_stored_if_nobody_can_be_asked(run_ctl, see, stored):
    see(offer("alpha", Verdict.UNKNOWN))
    said = run_ctl("trust", "fleet.toml")
    assert NEW.fingerprint in said
    assert "ctl trust fleet.toml --yes" in said
    assert said.endswith("--- exit 64\n")
    assert stored == []


def test_changed_keys_are_refused_in_spite_of_yes(run_ctl, see, stored):
    see(offer("alpha", Verdict.CHANGED))
    said = run_ctl("trust", "fleet.toml", "--yes")
    assert "CHANGED" in said
    assert "ssh-keygen -R 10.0.0.1 -f /known" in said
    assert "/known:3" in said
    assert said.endswith("--- exit 77\n")
    assert stored == []


def test_known_keys_need_no_question(run_ctl, see, stored):
    see(offer("alpha", Verdict.KNOWN))
    said = run_ctl("trust", "fleet.toml")
    assert said.endswith("--- stderr\nall keys are known\n--- exit 0\n")


def test_local_hosts_have_no_keys(run_ctl, stored, tmp_path: Path):
    text = '[deployment]\nname = "f"\n[[hosts]]\nname = "here"\ntransport = "local"\n'
    (tmp_path / "fleet.toml").write_text(text)
    assert "all keys are known" in run_ctl("trust", "fleet.toml")
