"""The wheel, the Makefile and the files that a user meets first."""

import os
import re
import shutil
import stat
import subprocess
import sys
import tomllib
import venv
import zipfile
from dataclasses import dataclass
from email.message import Message
from email.parser import Parser
from pathlib import Path

import pytest

import engine

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())

# Fresh environments and builds take a while where nothing is cached yet.
pytestmark = [pytest.mark.timeout(900), pytest.mark.xdist_group("packaging")]


def check(*words: str | Path, cwd: Path) -> str:
    """Run a command that has to succeed.

    Nothing may lead it to the checkout's modules, nor tell a pytest in it about this one.
    """
    env = {name: value for name, value in os.environ.items() if not name.startswith("PYT")}
    run = subprocess.run(
        words,
        cwd=cwd,
        env=env,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, f"{words}\n{run.stdout}\n{run.stderr}"
    return run.stdout


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    pip = (sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps")
    check(*pip, "--wheel-dir", folder, ROOT, cwd=folder)
    (built,) = folder.glob("*.whl")
    return built


@dataclass(frozen=True)
class Environment:
    """A fresh virtual environment outside of the checkout."""

    folder: Path

    def pip(self, *words: str) -> str:
        pip = (sys.executable, "-m", "pip", "--python", self.python, "--disable-pip-version-check")
        return check(*pip, *words, cwd=self.folder)

    def install(self, *requirements: str) -> None:
        self.pip("install", "--quiet", *requirements)

    @property
    def python(self) -> Path:
        return self.folder / "bin" / "python"


@pytest.fixture
def environment(tmp_path: Path) -> Environment:
    folder = tmp_path / "environment"
    venv.create(folder, symlinks=True)
    return Environment(folder)


def test_wheel_holds_the_two_packages_and_says_what_it_is(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        info = f"hostmesh-{engine.__version__}.dist-info"
        metadata: Message = Parser().parsestr(archive.read(f"{info}/METADATA").decode())
    assert {name.split("/")[0] for name in names} == {"engine", "ctl", info}
    assert f"{info}/licenses/LICENSE" in names
    modules = {
        str(path.relative_to(ROOT))
        for package in ("engine", "ctl")
        for path in (ROOT / package).rglob("*.py*")
        if "__pycache__" not in path.parts and path.suffix != ".pyc"
    }
    packaged = {name for name in names if not name.startswith(info)}
    assert modules <= packaged
    assert {"engine/py.typed", "ctl/py.typed"} <= packaged
    assert metadata["Name"] == "hostmesh"
    assert metadata["Version"] == engine.__version__
    assert metadata["License-Expression"] == "Apache-2.0"
    assert metadata["Requires-Python"] == ">=3.11"


def test_a_host_needs_the_engine_alone(wheel: Path, environment: Environment) -> None:
    environment.install(str(wheel))
    listed = environment.pip("list", "--format=freeze").splitlines()
    installed = {line.partition("==")[0].replace("_", "-") for line in listed}
    assert installed == {"hostmesh", "prometheus-client"}
    flow = environment.folder / "flow.py"
    flow.write_text(
        "import engine.operators as op\n"
        "from engine.connectors.stdio import StdOutSink\n"
        "from engine.dataflow import Dataflow\n"
        "from engine.testing import TestingSource\n"
        "flow = Dataflow('words')\n"
        "words = op.input('words', flow, TestingSource('a rose is a rose'.split()))\n"
        "op.output('out', op.count_final('count', words, str), StdOutSink())\n"
    )
    run = (environment.python, "-P", "-m", "engine.run", flow, "-p", "2")
    printed = check(*run, cwd=environment.folder)
    assert sorted(re.findall(r"\('\w+', \d\)", printed)) == ["('a', 2)", "('is', 1)", "('rose', 2)"]


def test_the_suite_passes_against_the_wheel(wheel: Path, environment: Environment) -> None:
    environment.install(f"{wheel}[ctl]", *PROJECT["dependency-groups"]["dev"])
    copy = environment.folder / "copy"
    for folder in ("tests", "examples", "docs"):
        shutil.copytree(ROOT / folder, copy / folder, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", copy)
    (copy / ".data").symlink_to(ROOT / ".data")
    where = "import ctl, engine; print(ctl.__file__, engine.__file__)"
    modules = check(environment.python, "-c", where, cwd=copy).split()
    assert all(Path(module).is_relative_to(environment.folder / "lib") for module in modules)
    suite = (environment.python, "-m", "pytest", "-p", "no:cacheprovider")
    engine_tests = (f"tests/engine/{part}" for part in ("conformance", "connectors", "operators"))
    # Of the tests of ctl, those to which it matters where the packages are.
    ctl_tests = (f"tests/ctl/{part}" for part in ("cli", "layers", "test_installation.py"))
    check(*suite, *engine_tests, *ctl_tests, "tests/test_flights.py", cwd=copy)


def make(*words: str, cwd: Path, path: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Run make on a copy of the Makefile, with the programs in `path` before all others."""
    shutil.copy(ROOT / "Makefile", cwd)
    shutil.copy(ROOT / "pyproject.toml", cwd)
    (cwd / "engine").mkdir()
    shutil.copy(ROOT / "engine" / "__init__.py", cwd / "engine")
    env = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
    if path:
        env["PATH"] = f"{path}{os.pathsep}{env['PATH']}"
    return subprocess.run(
        ["make", *words], cwd=cwd, env=env, capture_output=True, text=True, check=False
    )


def program(folder: Path, name: str, script: str) -> Path:
    folder.mkdir(exist_ok=True)
    path = folder / name
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return path


def test_make_lists_its_targets(tmp_path: Path) -> None:
    listed = make(cwd=tmp_path).stdout
    for target in ("demo", "test", "lint", "bench", "system"):
        assert f"make {target} " in listed


def test_make_names_the_package_when_python_is_too_old(tmp_path: Path) -> None:
    old = tmp_path / "bin"
    for name in ("python3", "python3.13", "python3.12", "python3.11"):
        program(old, name, "exit 1")
    run = make("lint", cwd=tmp_path, path=old)
    assert run.returncode != 0
    assert "No Python 3.11 or newer" in run.stderr
    assert "apt-get install python3-venv" in run.stderr


def test_make_names_the_package_when_venv_is_missing(tmp_path: Path) -> None:
    bare = program(tmp_path / "bin", "python3.12", 'case "$2" in *ensurepip*) exit 1;; esac')
    run = make("lint", f"PYTHON={bare}", cwd=tmp_path)
    assert run.returncode != 0
    assert "has no venv module" in run.stderr
    assert "apt-get install python3.12-venv" in run.stderr


@dataclass(frozen=True)
class Machine:
    """What `make system` finds, in a folder: programs that are there, and a Python."""

    folder: Path
    user_id: int

    def has(self, *names: str) -> None:
        for name in names:
            program(self.folder / "bin", name, "exit 0")

    def system(self) -> subprocess.CompletedProcess[str]:
        bin_folder = self.folder / "bin"
        program(bin_folder, "id", f"echo {self.user_id}")
        asks = f'ls {self.policy} >> {self.asked}; echo "$@" >> {self.asked}'
        program(bin_folder, "apt-get", asks)
        # Nothing else of the machine that runs the tests may be found.
        for name in ("sh", "ls", "rm", "chmod", "sed"):
            (bin_folder / name).symlink_to(str(shutil.which(name)))
        python = f"PYTHON={bin_folder}/python3.12"
        make_program = shutil.which("make")
        assert make_program
        shutil.copy(ROOT / "Makefile", self.folder)
        return subprocess.run(
            [make_program, "system", python, "SBIN=/nowhere", f"POLICY={self.policy}"],
            cwd=self.folder,
            env={"PATH": str(bin_folder)},
            capture_output=True,
            text=True,
            check=False,
        )

    @property
    def asked(self) -> Path:
        return self.folder / "asked"

    @property
    def policy(self) -> Path:
        return self.folder / "policy-rc.d"


def test_make_system_names_the_packages_when_not_root(tmp_path: Path) -> None:
    machine = Machine(tmp_path, 1000)
    run = machine.system()
    assert run.returncode != 0
    assert run.stderr.splitlines()[0].endswith(": openssh-client openssh-server python3.12-venv")
    assert not machine.asked.exists()


def test_make_system_installs_the_packages_when_root(tmp_path: Path) -> None:
    machine = Machine(tmp_path, 0)
    machine.has("ssh")
    run = machine.system()
    assert run.returncode == 0, run.stderr
    # While packages are installed, services may not start.
    before_update, update, before_install, install = machine.asked.read_text().splitlines()
    assert before_update == before_install == str(machine.policy)
    assert update.startswith("update")
    assert install.split()[0] == "install"
    assert "--yes" in install
    assert install.endswith(" openssh-server debootstrap python3.12-venv")
    assert not machine.policy.exists()


def test_make_system_leaves_the_policy_of_the_machine(tmp_path: Path) -> None:
    machine = Machine(tmp_path, 0)
    machine.policy.write_text("own")
    assert machine.system().returncode == 0
    assert machine.policy.read_text() == "own"


@pytest.mark.parametrize(("user_id", "more"), [(0, ["debootstrap"]), (1000, [])])
def test_make_system_installs_nothing_when_all_is_there(
    tmp_path: Path, user_id: int, more: list[str]
) -> None:
    machine = Machine(tmp_path, user_id)
    machine.has("ssh", "sshd", "python3.12", *more)
    run = machine.system()
    assert (run.returncode, run.stdout) == (0, "Nothing to install.\n")
    assert not machine.asked.exists()


def test_continuous_integration_runs_what_a_developer_runs() -> None:
    script = ROOT / ".ci" / "run"
    assert script.stat().st_mode & stat.S_IXUSR
    assert script.read_text().splitlines()[-1] == "make system test"


def test_changelog_begins_with_this_version() -> None:
    newest = re.search(r"^## (\S+)", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert newest
    assert newest[1] == engine.__version__
