"""What keeps a flow of another engine from running: each case has its message and its code."""

import io
import tarfile
from pathlib import Path

import pytest

from tests.ctl.requirements.test_layers import wheel
from tests.fleet.fleets import Fleet
from tests.fleet.refusing import refused, untouched
from tests.fleet.site import Site
from tests.fleet.test_runtimes import BYTEWAX, deploy

# The words are those that sessions begin with.
ARM_PYTHON = """\
#!/bin/sh
arm='import os; this = os.uname(); os.uname = lambda: os.uname_result((*this[:4], "aarch64"))'
exec python3.11 "$1" "$2" "$3" "$4" "$arm; $5" "$6"
"""


def index(site: Site) -> Path:
    """A folder that is all that there is of packages."""
    folder = site.folder / "packages"
    folder.mkdir()
    site.write("uv.toml", f"no-index = true\nfind-links = [{str(folder)!r}]\n")
    return folder


def source(folder: Path, name: str, version: str) -> None:
    """Write a source distribution that cannot be built."""
    files = {
        "PKG-INFO": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n",
        "setup.py": "raise SystemExit('it was built')\n",
    }
    with tarfile.open(folder / f"{name}-{version}.tar.gz", "w:gz") as archive:
        for file, text in files.items():
            about = tarfile.TarInfo(f"{name}-{version}/{file}")
            about.size = len(text)
            archive.addfile(about, io.BytesIO(text.encode()))


def test_a_requirement_that_needs_building(fleet: Fleet) -> None:
    hosts, site = fleet(2), fleet.site()
    source(index(site), "rose", "1.0")
    options = {"runtime": "command", "command": ["python", "flow.py"], "requirements": ["rose"]}
    site.inventory(hosts, deployment=options)
    site.write("flow.py", "import rose")
    ran = deploy(site)
    building = r"rose 1\.0 needs building: the package index has no wheel of it\n +fix: build one"
    report = refused(ran, 78, alpha=building, beta=building)
    assert "exit 78; nothing was changed" in report
    assert "push" not in ran.stderr
    assert "it was built" not in ran.stderr
    untouched(hosts)


def test_versions_of_bytewax_that_differ(docker_fleet: Fleet) -> None:
    _, beta = hosts = docker_fleet(2)
    site = docker_fleet.site()
    packages = index(site)
    wheel(packages, "bytewax", "0.21.1", "cp311-cp311-manylinux_2_31_x86_64")
    wheel(packages, "bytewax", "0.21.0", "cp311-cp311-manylinux_2_31_aarch64")
    beta.write("arm-python", ARM_PYTHON, 0o755)
    options = {"runtime": "bytewax", "requirements": ["bytewax>=0.21"]}
    arm = {"beta": {"python": str(beta.home / "arm-python")}}
    site.inventory(hosts, deployment=options, keys=arm)
    site.write("flow.py", BYTEWAX)
    ran = deploy(site)
    differs = r"bytewax 0\.21\.0, the others 0\.21\.1\n +fix: require bytewax==0\.21\.1"
    report = refused(ran, 76, beta=differs)
    assert "exit 76; nothing was changed" in report
    assert "push" not in ran.stderr
    untouched(hosts)


def test_a_version_of_bytewax_that_a_host_has_itself(docker_fleet: Fleet) -> None:
    """Older ones are taken before the one that is sent, wherever they are."""
    _, beta = hosts = docker_fleet(2)
    site = docker_fleet.site()
    own = ".local/lib/python3.11/site-packages"
    beta.write(f"{own}/bytewax/__init__.py", "")
    beta.write(f"{own}/bytewax-0.16.0.dist-info/METADATA", "Name: bytewax\nVersion: 0.16.0\n")
    site.inventory(hosts, deployment={"runtime": "bytewax"})
    site.write("flow.py", BYTEWAX)
    hidden = rf".*/{own}/bytewax is Bytewax 0\.16\.0 and hides 0\.21\.1, which was sent"
    report = refused(deploy(site), 76, beta=hidden)
    assert "exit 76; nothing was changed" in report


def test_a_requirement_that_is_missing(fleet: Fleet) -> None:
    hosts, site = fleet(2), fleet.site()
    site.inventory(hosts, deployment={"runtime": "bytewax"})
    site.write("flow.py", f"import roses.red\n{BYTEWAX}")
    absent = (
        r"flow\.py, line 1, imports `roses`, which is not there\n"
        r' +fix: require the package that has it, as in requirements = \["roses"\] in the inventory'
    )
    report = refused(deploy(site), 65, alpha=absent, beta=absent)
    assert "layers" not in report
    assert "exit 65; nothing was changed" in report


# It is loaded as it should before anything stops, and hangs when it is to run.
HANGS = f"""
import socket, threading
from pathlib import Path
{BYTEWAX}
if socket.gethostname() == "%s" and "--check" not in Path("/proc/self/cmdline").read_text():
    print("hanging", flush=True)
    threading.Event().wait()
"""


@pytest.mark.parametrize(("number", "name"), [(0, "alpha"), (1, "beta")])
def test_a_peer_that_never_starts(docker_fleet: Fleet, number: int, name: str) -> None:
    hosts, site = docker_fleet(3), docker_fleet.site()
    options = {"runtime": "bytewax", "assemble_timeout": 4}
    site.inventory(hosts, deployment=options)
    site.write("flow.py", HANGS.replace("%s", name))
    failed = deploy(site)
    assert failed.returncode == 69, failed.stderr
    assert f"gave up after 4 s: no connection with process {number} on {name}" in failed.stderr
    # Whoever dials it is answered by a relay, which is not it.
    assert "✓ ready" not in failed.stderr
    assert "exit 69; nothing was left behind" in failed.stderr
    untouched(hosts)
