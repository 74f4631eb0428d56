"""What is removed of a root, and what stays."""

import pytest

from ctl.remote.errors import RemoteError
from ctl.remote.lock import RootLock
from ctl.remote.pruning import prune
from ctl.remote.root import Root, write_json

AGENT = "agent"


@pytest.fixture
def root(tmp_path):
    root = Root(str(tmp_path / "root"))
    for digest in ("agent", "old", "used", "staged", ".coming-x"):
        root.layer(digest).mkdir(parents=True)
        (root.layer(digest) / "file").write_text("12345")
    for release, layers in {"r1": "old", "r2": "used", "r3": "staged"}.items():
        write_json(root.release(release), {"layers": {"code": layers}})
    for launch, release, layer in (("l2", "r2", "used"), ("l3", "r3", "staged")):
        path = root.deployment("flights") / "launches" / launch / "launch.json"
        manifest = {"layers": {"code": layer}}
        launch_ = {"release": release, "agent": AGENT, "manifest": manifest, "processes": [{}]}
        write_json(path, launch_)
    return root


def layers(root):
    return sorted(path.name for path in (root.path / "layers").iterdir())


def test_what_launches_are_made_of_stays(root):
    found = prune(root, AGENT, dry_run=False)
    assert found == {
        "layers": [
            {"digest": ".coming-x", "kind": "unknown", "bytes": 5},
            {"digest": "old", "kind": "code", "bytes": 5},
        ],
        "releases": 1,
    }
    assert layers(root) == ["agent", "staged", "used"]
    assert not root.release("r1").exists()
    assert prune(root, AGENT, dry_run=False) == {"layers": [], "releases": 0}


def test_a_dry_run_removes_nothing(root):
    before = layers(root)
    assert len(prune(root, AGENT, dry_run=True)["layers"]) == 2
    assert layers(root) == before


def test_sessions_share_the_lock_and_prune_does_not(tmp_path):
    sessions = [RootLock(tmp_path, exclusive=False) for _ in range(2)]
    with pytest.raises(RemoteError, match="under way"):
        RootLock(tmp_path, exclusive=True)
    sessions[0].release()
    with pytest.raises(RemoteError, match="under way"):
        RootLock(tmp_path, exclusive=True)
    sessions[1].release()
    assert not (tmp_path / "lock").exists()
    lock = RootLock(tmp_path, exclusive=True)
    with pytest.raises(RemoteError, match="ctl prune is under way"):
        RootLock(tmp_path, exclusive=False)
    lock.release()
