"""A host needs Python and the engine layer, and nothing else, to run a flow."""

from importlib.metadata import PathDistribution

import pytest

from ctl.errors import InstallationError
from ctl.layers import distributions, engine_layer
from ctl.layers.distributions import dependencies, pure_entries
from tests.ctl.layers.conftest import run

FLOW = """
import engine.operators as op
from engine.connectors.stdio import StdOutSink
from engine.dataflow import Dataflow
from engine.testing import TestingSource
flow = Dataflow("double")
nums = op.input("inp", flow, TestingSource([1, 2, 3]))
op.output("out", op.map("say", nums, lambda x: f"{2 * x}"), StdOutSink())
"""


def test_it_is_pure_and_holds_no_compiled_files():
    paths = {entry.path for entry in engine_layer().entries}
    assert {"engine/__init__.py", "engine/py.typed", "engine/mesh/protocol.py"} <= paths
    assert "prometheus_client/__init__.py" in paths
    assert any(path.endswith(".dist-info/METADATA") for path in paths)
    assert not [path for path in paths if path.endswith((".so", ".pyc", "RECORD"))]
    assert not [path for path in paths if path.startswith(("ctl/", "tests/"))]


def test_it_is_the_same_each_time():
    assert engine_layer() == engine_layer()


def test_it_runs_a_flow_on_a_bare_python(python, tmp_path, unpack):
    (tmp_path / "flow.py").write_text(FLOW)
    layer = unpack(engine_layer())
    words = (python, "-S", "-P", "-m", "engine.run")
    checked = run(*words, "--check", "flow.py", cwd=tmp_path, PYTHONPATH=layer)
    assert checked.returncode == 0, checked.stderr
    assert "dataflow 'double' is well formed" in checked.stdout
    done = run(*words, "flow.py", cwd=tmp_path, PYTHONPATH=layer, ENGINE_LOG_LEVEL="WARNING")
    assert (done.returncode, done.stdout) == (0, "2\n4\n6\n"), done.stderr


def test_what_is_not_installed_is_named():
    with pytest.raises(InstallationError, match="distribution no-such-thing is not installed"):
        list(pure_entries("no-such-thing"))


@pytest.fixture
def installed(tree, monkeypatch):
    """Have only the distributions of a test installed."""

    def install(files):
        site = tree(files, at="site")
        found = {path.name.partition("-")[0]: path for path in site.glob("*.dist-info")}
        monkeypatch.setattr(distributions, "_installed", lambda name: PathDistribution(found[name]))

    return install


def test_what_is_built_for_a_platform_is_refused(installed):
    installed({"fast-1.dist-info/RECORD": "fast.so,,\n", "fast.so": ""})
    with pytest.raises(
        InstallationError, match=r"fast cannot be pushed: fast\.so is built for one"
    ):
        list(pure_entries("fast"))


@pytest.mark.parametrize("record", ["", "__editable__fast.pth,,\n"])
def test_what_does_not_list_its_files_is_refused(installed, record):
    installed({"fast-1.dist-info/RECORD": record, "__editable__fast.pth": ""})
    with pytest.raises(InstallationError, match="fast cannot be pushed: its installation does not"):
        list(pure_entries("fast"))


def test_commands_caches_and_notes_of_the_installer_are_left_out(installed):
    names = (
        "one.py",
        "__pycache__/one.cpython-311.pyc",
        "one-1.dist-info/METADATA",
        "one-1.dist-info/INSTALLER",
        "one-1.dist-info/RECORD",
    )
    record = "".join(f"{name},,\n" for name in (*names, "../bin/one"))
    installed({**dict.fromkeys(names, ""), "one-1.dist-info/RECORD": record})
    assert [entry.path for entry in pure_entries("one")] == ["one.py", "one-1.dist-info/METADATA"]


def test_dependencies_follow_markers_and_leave_extras_out(installed):
    def metadata(*requires):
        return "Metadata-Version: 2.1\n" + "".join(f"Requires-Dist: {each}\n" for each in requires)

    installed(
        {
            "top-1.dist-info/METADATA": metadata(
                "One>=1", 'two; python_version < "3"', 'three; extra == "all"'
            ),
            "one-1.dist-info/METADATA": metadata('four; python_version >= "3.11"', "top"),
            "four-1.dist-info/METADATA": metadata(),
        }
    )
    assert dependencies("top") == ["four", "one", "top"]
