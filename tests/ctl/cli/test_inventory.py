"""Which inventory a command is about."""

import stat

import pytest

from ctl.cli.inventory import find, remember
from ctl.errors import NotFoundError


@pytest.fixture(autouse=True)
def _folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.delenv("CTL_INVENTORY", raising=False)


def test_an_argument_goes_before_all(tmp_path, monkeypatch):
    monkeypatch.setenv("CTL_INVENTORY", "b.toml")
    assert str(find(tmp_path / "a.toml")) == str(tmp_path / "a.toml")


def test_then_the_variable_then_the_folder_then_the_last_one(tmp_path, monkeypatch, capsys):
    last = tmp_path / "elsewhere" / "öd name.toml"
    last.parent.mkdir()
    last.write_text("")
    remember(last)
    assert find(None, guess=True) == last
    assert capsys.readouterr().err == f"inventory: {last}, which was deployed last\n"
    (tmp_path / "inventory.toml").write_text("")
    assert str(find(None, guess=True)) == "inventory.toml"
    monkeypatch.setenv("CTL_INVENTORY", "b.toml")
    assert str(find(None, guess=True)) == "b.toml"
    assert capsys.readouterr().err == ""


def test_what_changes_something_does_not_guess(tmp_path):
    (tmp_path / "a.toml").write_text("")
    remember(tmp_path / "a.toml")
    with pytest.raises(NotFoundError, match="no inventory: none is named"):
        find(None)


def test_one_that_is_gone_is_named(tmp_path):
    remember(tmp_path / "a.toml")
    with pytest.raises(NotFoundError, match=r"is gone: .*/a\.toml"):
        find(None, guess=True)


def test_without_any_it_says_how_to_get_one():
    with pytest.raises(NotFoundError, match="ctl init") as error:
        find(None, guess=True)
    assert error.value.exit_code == 66


def test_the_note_is_absolute_and_private(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.toml").write_text("")
    remember(tmp_path.joinpath("a.toml").relative_to(tmp_path))
    note = tmp_path / "state" / "hostmesh" / "last"
    assert note.read_text() == str(tmp_path / "a.toml")
    assert stat.S_IMODE(note.stat().st_mode) == 0o600
    assert [each.name for each in note.parent.iterdir()] == ["last"]


def test_a_note_that_cannot_be_written_is_no_error(tmp_path, monkeypatch, capsys):
    (tmp_path / "state").write_text("in the way")
    remember(tmp_path / "a.toml")
    assert "warning: cannot note the inventory" in capsys.readouterr().err


def test_a_relative_state_folder_does_not_count(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_STATE_HOME", "state")
    monkeypatch.setenv("HOME", str(tmp_path))
    remember(tmp_path / "a.toml")
    assert (tmp_path / ".local" / "state" / "hostmesh" / "last").exists()
