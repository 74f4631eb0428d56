"""What `ctl` says when it is not what was shipped together."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import ctl

CTL = "import sys; sys.path[:0] = sys.argv.pop(1).split(':'); from ctl.cli import main; main()"

WITHOUT_TYPER = "import sys; sys.modules['typer'] = None; from ctl.cli import main; main()"


@pytest.fixture
def copies(tmp_path: Path) -> Path:
    """A copy of both packages that a test can spoil."""
    source = Path(ctl.__file__).parents[1]
    for name in ("ctl", "engine"):
        shutil.copytree(source / name, tmp_path / "site" / name)
    return tmp_path / "site"


def run(path: object) -> tuple[int, str]:
    done = subprocess.run(
        [sys.executable, "-P", "-c", CTL, str(path), "--version"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return done.returncode, done.stderr


def another(folder: Path, package: str) -> None:
    """Install another distribution that has a package of this name."""
    info = folder / "other_tool-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: other-tool\nVersion: 1.0\n")
    (info / "RECORD").write_text(f"{package}/__init__.py,,\n")
    (folder / package).mkdir(exist_ok=True)
    (folder / package / "__init__.py").write_text("")


def test_copies_of_both_are_fine(copies):
    assert run(copies) == (0, "")


@pytest.mark.parametrize("package", ["ctl", "engine"])
def test_an_overwritten_package_is_named_with_its_owner(copies, package):
    another(copies, package)
    assert run(copies) == (
        78,
        f"error: the package `{package}` is at {copies}/{package}/__init__.py, overwritten by "
        'other-tool; install it on its own: uv tool install "hostmesh[ctl]"\n',
    )


def test_an_engine_found_first_elsewhere_is_named_with_its_owner(copies, tmp_path):
    another(tmp_path / "first", "engine")
    assert run(f"{tmp_path}/first:{copies}") == (
        78,
        f"error: the package `engine` is not beside {copies}/ctl but at "
        f"{tmp_path}/first/engine/__init__.py, put there by other-tool; "
        'install it on its own: uv tool install "hostmesh[ctl]"\n',
    )


def test_without_the_extra_it_says_what_to_install():
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_TYPER, "--version"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 78
    assert done.stderr == (
        'error: ctl needs typer, which is not installed; pip install "hostmesh[ctl]"\n'
    )
