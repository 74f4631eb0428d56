"""Runtimes of this package and of others."""

import pytest

from ctl.errors import InventoryError
from ctl.runtimes import find_runtime, runtime_options

MODULE = """
from ctl.inventory import WrongValueError
from ctl.runtimes import Command, PlainRuntime


def word(value):
    if value != "hello":
        raise WrongValueError("is no greeting", "write hello")
    return value


class EchoRuntime(PlainRuntime):
    name = "echo"
    options = {"greeting": word}

    def process(self, context):
        return Command(("echo", context.options["greeting"], str(context.process.id)))
"""


@pytest.fixture
def installed(tmp_path, monkeypatch):
    """A package that offers a runtime."""
    (tmp_path / "hostmesh_echo.py").write_text(MODULE)
    info = tmp_path / "hostmesh_echo-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: hostmesh-echo\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(
        "[hostmesh.runtimes]\necho = hostmesh_echo:EchoRuntime\n"
    )
    monkeypatch.syspath_prepend(tmp_path)


def test_each_of_ours_is_found_by_its_name():
    for name in ("engine", "bytewax", "pathway", "command"):
        assert find_runtime(name).name == name


@pytest.mark.usefixtures("installed")
def test_one_of_another_package():
    assert find_runtime("echo").name == "echo"
    assert list(runtime_options()["echo"]) == ["greeting"]


def test_one_that_there_is_not():
    with pytest.raises(InventoryError, match="there are engine, bytewax, pathway, command"):
        find_runtime("spark")
