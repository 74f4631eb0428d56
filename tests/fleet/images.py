"""The images of hosts: Debian with sshd and Python, made once, named by their content.

The engine needs no registry: debootstrap makes the base. Where that cannot run, name in
FLEET_BASE a public image of Debian with tags for its releases, `debian` say.
"""

import hashlib
import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from tests.fleet.runs import Run, locked

if TYPE_CHECKING:
    from docker import DockerClient

# The Python of a host and the Debian that brings it.
RELEASES = {"3.11": "bookworm", "3.13": "trixie"}
PACKAGES = ("iproute2", "libfaketime", "nftables", "openssh-server", "procps", "python3")
RECIPE = Path(__file__).with_name("image")
REPOSITORY = "hostmesh-test"
BASE = "FLEET_BASE"


def unmakeable() -> str | None:
    """Why the bases cannot be made here, if so."""
    if os.environ.get(BASE):
        return None
    if shutil.which("debootstrap") is None:
        return f"no debootstrap (make system installs it), and no {BASE}"
    if os.geteuid():
        return f"debootstrap needs root; else name a public image of Debian in {BASE}"
    return None


@cache
def tag(release: str) -> str:
    """The name of an image: of the same recipe, the same name."""
    recipe = hashlib.sha256(repr((release, PACKAGES, os.environ.get(BASE))).encode())
    for path in sorted(RECIPE.iterdir()):
        recipe.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
    return f"{REPOSITORY}:{release}-{recipe.hexdigest()[:12]}"


def made(client: "DockerClient", release: str) -> bool:
    """Whether the engine has the image."""
    return bool(client.api.images(name=tag(release)))


def make(client: "DockerClient", release: str, run: Run) -> None:
    """Make the image if the engine has none; one run makes it, others wait."""
    with locked(run.folder.parent / f"{release}.lock"):
        if not made(client, release):
            _build(client, release, run)


def _build(client: "DockerClient", release: str, run: Run) -> None:
    public = os.environ.get(BASE)
    base = f"{public}:{release}" if public else _bootstrap(client, release, run)
    client.images.build(
        path=str(RECIPE),
        tag=tag(release),
        buildargs={"BASE": base, "PACKAGES": " ".join(PACKAGES)},
        rm=True,
    )


def _bootstrap(client: "DockerClient", release: str, run: Run) -> str:
    with tempfile.TemporaryDirectory(dir=run.folder) as folder:
        # Mounts and processes end with the command, whatever ends it.
        words = [
            *("setpriv", "--pdeathsig", "KILL"),
            *("unshare", "--mount", "--pid", "--fork", "--kill-child"),
            *("debootstrap", "--variant=minbase", f"--include={','.join(PACKAGES)}"),
            *(release, folder),
        ]
        # What is lost with a crash is made again.
        env = {**os.environ, "DPKG_FORCE": "unsafe-io"}
        ran = subprocess.run(
            words,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        if ran.returncode:
            lines = ran.stdout.splitlines()[-20:]
            raise RuntimeError("debootstrap failed:\n" + "\n".join(lines))
        return _imported(client, folder)


def _imported(client: "DockerClient", folder: str) -> str:
    left_out = ("./var/cache/apt", "./var/lib/apt/lists", "./usr/share/doc", "./usr/share/man")
    words = ["tar", "-C", folder, *(f"--exclude={path}" for path in left_out), "-c", "."]
    with subprocess.Popen(words, stdout=subprocess.PIPE) as tar:
        assert tar.stdout
        answer = client.api.import_image_from_stream(_blocks(tar), None, None)
    assert tar.returncode == 0, "tar failed"
    # One JSON object a line; the last one tells the digest, or an error.
    last = json.loads(answer.splitlines()[-1])
    assert "status" in last, last
    return str(last["status"])


def _blocks(tar: "subprocess.Popen[bytes]") -> Iterator[bytes]:
    assert tar.stdout
    while block := tar.stdout.read(1 << 20):
        yield block
