"""The images of hosts: Debian with sshd and Python, made once, named by their content.

Root has debootstrap make the base, which needs no registry of images. Anybody else starts from
Debian's public image, or from another one with tags for Debian's releases that is named in
HOSTMESH_TEST_IMAGE_BASE.
"""

import hashlib
import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from tests.fleet.runs import Run, locked

if TYPE_CHECKING:
    from docker import DockerClient

# The Python of a host and the Debian that brings it.
RELEASES = {"3.11": "bookworm", "3.13": "trixie"}
PACKAGES = ("iproute2", "nftables", "openssh-server", "procps", "python3")
RECIPE = Path(__file__).with_name("image")
REPOSITORY = "hostmesh-test-host"
BASE = "HOSTMESH_TEST_IMAGE_BASE"
PUBLIC = "debian"


@cache
def tag(release: str) -> str:
    """The name of an image: of the same recipe, the same name."""
    recipe = hashlib.sha256(repr((release, PACKAGES, os.environ.get(BASE))).encode())
    for path in sorted(RECIPE.iterdir()):
        recipe.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
    return f"{REPOSITORY}:{release}-{recipe.hexdigest()[:12]}"


def unmakeable(client: "DockerClient") -> str | None:
    """Why the images are missing and cannot be made, if so."""
    if os.environ.get(BASE) or all(_made(client, release) for release in RELEASES.values()):
        return None
    reason = _no_bootstrap()
    if reason and not _answers(client):
        return f"no image of a host: {reason}, and no registry has {PUBLIC}"
    return None


def make(client: "DockerClient", release: str, run: Run, notice: Callable[[str], None]) -> None:
    """Make the image if the engine has none; one run makes it, others wait."""
    with locked(run.folder.parent / f"{release}.lock"):
        if not _made(client, release):
            notice(f"Making {tag(release)}, once; this may take some minutes.")
            _build(client, release, run)
            notice(f"Made {tag(release)}.")


def _made(client: "DockerClient", release: str) -> bool:
    return bool(client.api.images(name=tag(release)))


def _no_bootstrap() -> str | None:
    if _debootstrap() is None:
        return "no debootstrap (make system installs it)"
    return "debootstrap needs root" if os.geteuid() else None


def _debootstrap() -> str | None:
    return shutil.which("debootstrap", path=f"{os.environ['PATH']}:/usr/sbin")


def _answers(client: "DockerClient") -> bool:
    from docker.errors import APIError

    try:
        client.images.get_registry_data(f"{PUBLIC}:{RELEASES['3.11']}")
    except APIError:
        return False
    return True


def _build(client: "DockerClient", release: str, run: Run) -> None:
    public = os.environ.get(BASE) or (PUBLIC if _no_bootstrap() else None)
    base = f"{public}:{release}" if public else _base(client, release, run)
    client.images.build(
        path=str(RECIPE),
        tag=tag(release),
        buildargs={"BASE": base, "PACKAGES": " ".join(PACKAGES)},
        rm=True,
    )


def _base(client: "DockerClient", release: str, run: Run) -> str:
    """The name of a base that outlives changes of the recipe."""
    name = f"base-{release}-{hashlib.sha256(repr(PACKAGES).encode()).hexdigest()[:12]}"
    if not client.api.images(name=f"{REPOSITORY}:{name}"):
        _bootstrap(client, release, name, run)
    return f"{REPOSITORY}:{name}"


def _bootstrap(client: "DockerClient", release: str, name: str, run: Run) -> None:
    program = _debootstrap()
    assert program
    with tempfile.TemporaryDirectory(dir=run.folder) as folder:
        # Mounts and processes end with the command, whatever ends it.
        words = [
            *("setpriv", "--pdeathsig", "KILL"),
            *("unshare", "--mount", "--pid", "--fork", "--kill-child"),
            *(program, "--variant=minbase", f"--include={','.join(PACKAGES)}"),
            *(release, folder, *_mirror()),
        ]
        ran = subprocess.run(
            words,
            # What is lost with a crash is made again.
            env={**os.environ, "DPKG_FORCE": "unsafe-io"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        if ran.returncode:
            lines = ran.stdout.splitlines()[-20:]
            raise RuntimeError("debootstrap failed:\n" + "\n".join(lines))
        _import(client, folder, name)


def _mirror() -> list[str]:
    """The mirror that apt uses, if this is a Debian; else debootstrap knows one."""
    words = ("apt-get", "indextargets", "--format", "$(REPO_URI) $(RELEASE)")
    wanted = ("Created-By: Packages", "Component: main")
    if not (shutil.which("apt-get") and Path("/etc/debian_version").exists()):
        return []
    ran = subprocess.run([*words, *wanted], capture_output=True, text=True, check=False)
    listed = (line.split() for line in ran.stdout.splitlines())
    # Security updates and the like are in repositories that hold nothing else.
    return [uri for uri, release in listed if release in RELEASES.values()][:1]


def _import(client: "DockerClient", folder: str, name: str) -> None:
    left_out = ("./var/cache/apt", "./var/lib/apt/lists", "./usr/share/doc", "./usr/share/man")
    words = ["tar", "-C", folder, *(f"--exclude={path}" for path in left_out), "-c", "."]
    with subprocess.Popen(words, stdout=subprocess.PIPE) as tar:
        answer = client.api.import_image_from_stream(_blocks(tar), REPOSITORY, name)
    assert tar.returncode == 0, "tar failed"
    # One JSON object a line; the last one tells the digest, or an error.
    last = json.loads(answer.splitlines()[-1])
    assert "status" in last, last


def _blocks(tar: "subprocess.Popen[bytes]") -> Iterator[bytes]:
    assert tar.stdout
    while block := tar.stdout.read(1 << 20):
        yield block
