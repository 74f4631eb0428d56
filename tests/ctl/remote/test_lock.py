import errno
import fcntl
import os
import subprocess
import sys

import pytest

from ctl.remote.errors import RemoteError
from ctl.remote.lock import DeploymentLock, holder, is_locked, try_lock

WHO = {"user": "ada", "host": "laptop", "command": "deploy", "since": "2026-11-24T18:39:58Z"}


@pytest.fixture
def path(tmp_path):
    return tmp_path / "flights" / "lock"


@pytest.fixture
def holding(path):
    """Another process that has the lock, until it is ended."""
    path.parent.mkdir(parents=True)
    text = (
        "import fcntl, sys, time; file = open(sys.argv[1], 'a'); "
        "fcntl.flock(file, fcntl.LOCK_EX); print(flush=True); sys.stdin.read()"
    )
    process = subprocess.Popen(
        [sys.executable, "-S", "-c", text, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    with process:
        assert process.stdout is not None
        process.stdout.readline()
        yield process
        process.kill()


def locked(path):
    fd = try_lock(path)
    assert fd is not None
    return fd


def test_a_lock_that_nobody_has(path):
    assert not is_locked(path)
    fd = locked(path)
    assert is_locked(path)
    os.close(fd)
    assert not is_locked(path)


def test_a_lock_is_free_the_moment_its_holder_is_gone(path, holding):
    assert try_lock(path) is None
    assert is_locked(path)
    holding.kill()
    holding.wait()
    assert not is_locked(path)
    os.close(locked(path))


def test_who_only_looks_takes_it_from_nobody(path, monkeypatch):
    """A look holds the lock for a moment, in which another one asks for it."""
    os.close(locked(path))
    looking = os.open(path, os.O_RDONLY)
    fcntl.flock(looking, fcntl.LOCK_SH)
    monkeypatch.setattr("ctl.remote.lock.time.sleep", lambda _: fcntl.flock(looking, fcntl.LOCK_UN))
    os.close(locked(path))
    os.close(looking)


def test_a_file_that_its_holder_has_removed_is_no_lock(path, monkeypatch):
    fd = locked(path)
    real = os.open

    def open_then_remove(*args):
        opened = real(*args)
        monkeypatch.setattr(os, "open", real)
        path.unlink()
        os.close(fd)
        return opened

    monkeypatch.setattr(os, "open", open_then_remove)
    other = locked(path)
    assert os.fstat(other).st_ino == path.stat().st_ino
    os.close(other)


def test_a_lock_does_not_reach_other_programs(path):
    fd = locked(path)
    with subprocess.Popen([sys.executable, "-S", "-c", "input()"], stdin=subprocess.PIPE) as other:
        os.close(fd)
        assert not is_locked(path)
        other.kill()


def test_a_deployment_says_who_changes_it(path):
    assert holder(path.parent) is None
    mine = DeploymentLock(path.parent, WHO)
    assert holder(path.parent) == WHO
    with pytest.raises(RemoteError) as caught:
        DeploymentLock(path.parent, {"user": "bob"})
    assert caught.value.to_json() == {
        "exit_code": 75,
        "problem": "deployment flights is being changed by ada on laptop (ctl deploy), "
        "since 2026-11-24T18:39:58Z",
        "fix": "try again later",
    }
    assert holder(path.parent) == WHO
    mine.release()
    mine.release()
    assert holder(path.parent) is None
    assert path.read_text() == ""


def test_a_holder_that_says_nothing(path, holding):
    assert holder(path.parent) == {}
    with pytest.raises(RemoteError, match="is being changed by somebody else"):
        DeploymentLock(path.parent, WHO)


@pytest.mark.parametrize("text", ["[1]", "{", "\0"])
def test_a_holder_that_says_nonsense(path, holding, text):
    path.write_text(text)
    assert holder(path.parent) == {}


def test_the_lock_of_a_deployment_that_is_gone(path):
    mine = DeploymentLock(path.parent, WHO)
    path.unlink()
    path.parent.rmdir()
    other = DeploymentLock(path.parent, WHO)
    mine.release()
    assert holder(path.parent) == WHO
    other.release()


def test_a_full_disk_keeps_nobody_from_stopping(path, monkeypatch):
    def refuse(*_args):
        raise OSError(errno.ENOSPC, "full")

    monkeypatch.setattr(os, "pwrite", refuse)
    mine = DeploymentLock(path.parent, WHO)
    assert holder(path.parent) == {}
    mine.release()
