import json
import os
import sys
import time

import pytest

from ctl.remote import facts
from ctl.remote.facts import gather
from ctl.remote.root import Root


def test_what_a_host_is_like(tmp_path):
    root = tmp_path / "not" / "there"
    got = json.loads(json.dumps(gather(Root(str(root)))))
    assert got["python"] == list(sys.version_info[:3])
    assert (got["implementation"], got["system"]) == ("cpython", "Linux")
    assert got["executable"] == sys.executable
    assert abs(got["time"] - time.time()) < 10
    assert got["root"] == str(root)
    assert got["unwritable"] is None
    assert got["disk_free"] > 0
    assert len(got["open_files"]) == 2
    assert got["cores"] >= 1
    assert got["hostname"]
    assert got["user"]
    assert not root.parent.exists()


def test_a_place_is_the_same_on_another_way(tmp_path):
    (tmp_path / "way").symlink_to(tmp_path)
    places = [gather(Root(str(tmp_path / each)))["place"] for each in ("root", "way/root", "other")]
    assert places[0] == places[1] != places[2]


def test_a_root_in_the_home_folder(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    assert gather(Root("~/.hostmesh"))["root"] == str(tmp_path / ".hostmesh")


@pytest.mark.parametrize("root", ["file", "file/root", "link", "link/root"])
def test_something_in_the_way(tmp_path, root):
    (tmp_path / "file").touch()
    (tmp_path / "link").symlink_to("nowhere")
    got = gather(Root(str(tmp_path / root)))
    assert got["unwritable"] == f"{tmp_path / root.split('/')[0]} is not a folder"
    assert got["disk_free"] > 0


def test_a_folder_that_cannot_be_written(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "access", lambda *_: False)
    unwritable = gather(Root(str(tmp_path / "root")))["unwritable"]
    assert unwritable == f"{tmp_path} is not writable for {facts._user()}"


def test_a_root_of_another_user(tmp_path, monkeypatch):
    other = os.geteuid() + 1
    monkeypatch.setattr(os, "geteuid", lambda: other)
    assert gather(Root(str(tmp_path)))["unwritable"] == f"{tmp_path} belongs to another user"


def test_a_user_without_a_name(monkeypatch, tmp_path):
    monkeypatch.setattr(os, "geteuid", lambda: 123_456_789)
    assert gather(Root(str(tmp_path / "root")))["user"] == "123456789"
