from importlib.metadata import EntryPoint
from types import MappingProxyType

import pytest

from ctl.errors import InventoryError
from ctl.runtimes import find_runtime, finding, runtime_options
from ctl.runtimes.engine import EngineRuntime


class Other(EngineRuntime):
    name = "other"
    options = MappingProxyType({"speed": repr})


@pytest.fixture
def installed(monkeypatch):
    """Another package that brings a runtime."""
    entry = EntryPoint("other", f"{__name__}:Other", "hostmesh.runtimes")
    monkeypatch.setattr(
        finding, "entry_points", lambda *, group: [entry] if group == "hostmesh.runtimes" else []
    )


def test_our_own():
    assert find_runtime("engine").name == "engine"
    assert "epoch_interval" in runtime_options()["engine"]


def test_one_of_another_package(installed):
    assert isinstance(find_runtime("other"), Other)
    assert runtime_options()["other"] == {"speed": repr}
    assert list(runtime_options()) == ["engine", "other"]


def test_none_of_that_name(installed):
    with pytest.raises(InventoryError) as caught:
        find_runtime("spark")
    assert str(caught.value) == "there is no runtime 'spark'; there are engine, other"
