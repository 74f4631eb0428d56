"""Where it says what a flow requires."""

from pathlib import Path

import pytest

from ctl.errors import FlowError, InventoryError, NotFoundError
from ctl.inventory import Inventory, read
from ctl.requirements import Wanted, find

SCRIPT = """
# /// script
# requires-python = ">=3.11"
# dependencies = [
#     "numpy>=2",
#     "hostmesh[ctl]",
# ]
# ///
"""


def inventory(folder: Path, line: str = "") -> Inventory:
    text = f'[deployment]\nname = "flights"\n{line}\n\n[[hosts]]\nname = "alpha"\n'
    return read(text.encode(), folder / "inventory.toml")


@pytest.fixture
def flow(tmp_path):
    path = tmp_path / "flow.py"
    path.write_text("")
    return path


def test_nothing_says_anything(flow):
    assert find(inventory(flow.parent), flow, flow.parent) is None


def test_the_inventory_comes_first(flow):
    flow.write_text(SCRIPT)
    named = inventory(flow.parent, 'requirements = ["polars", "Host.Mesh", "hostmesh>=0.1"]')
    wanted = find(named, flow, flow.parent)
    assert wanted is not None
    assert wanted.text.splitlines() == ["polars", "Host.Mesh"]
    assert wanted.origin.endswith("inventory.toml:3")


def test_an_empty_list_means_nothing(flow):
    flow.write_text(SCRIPT)
    assert find(inventory(flow.parent, "requirements = []"), flow, flow.parent) is None


def test_a_file_and_the_files_that_it_names(flow):
    (flow.parent / "requirements.txt").write_text("-r more.txt\npolars\n")
    (flow.parent / "more.txt").write_text("-c requirements.txt\nnumpy\n")
    named = inventory(flow.parent, 'requirements = "requirements.txt"')
    wanted = find(named, flow, flow.parent)
    assert wanted is not None
    assert wanted.text == "-r more.txt\npolars"
    assert wanted.further == ("-c requirements.txt\nnumpy\n",)


def test_a_file_that_is_not_there(flow):
    named = inventory(flow.parent, 'requirements = "requirements.txt"')
    with pytest.raises(NotFoundError, match=r"there is no file .*requirements\.txt"):
        find(named, flow, flow.parent)


def test_inline_metadata_comes_before_the_project(flow):
    flow.write_text(SCRIPT)
    (flow.parent / "pyproject.toml").write_text('[project]\ndependencies = ["polars"]\n')
    wanted = find(inventory(flow.parent), flow, flow.parent)
    assert wanted == Wanted("numpy>=2", "inline metadata of flow.py", flow.parent, ">=3.11")


def test_inline_metadata_that_is_not_toml(flow):
    flow.write_text("# /// script\n# dependencies = [\n# ///\n")
    with pytest.raises(FlowError, match=r"flow\.py is not TOML"):
        find(inventory(flow.parent), flow, flow.parent)


def test_the_project_beside_the_flow(flow):
    text = '[project]\nname = "x"\ndependencies = ["polars", "hostmesh"]\n'
    (flow.parent / "pyproject.toml").write_text(text)
    wanted = find(inventory(flow.parent), flow, flow.parent)
    assert wanted == Wanted("polars", "pyproject.toml", flow.parent)


def test_dependencies_that_are_no_list(flow):
    (flow.parent / "pyproject.toml").write_text('[project]\ndependencies = "polars"\n')
    with pytest.raises(InventoryError, match="`dependencies` is no list"):
        find(inventory(flow.parent), flow, flow.parent)


def test_a_lock_comes_before_the_project(flow):
    text = '[project]\nname = "x"\nversion = "1"\nrequires-python = ">=3.11"\n'
    (flow.parent / "pyproject.toml").write_text(f'{text}dependencies = ["idna>=3"]\n')
    (flow.parent / "uv.lock").write_text(
        'version = 1\nrevision = 3\nrequires-python = ">=3.11"\n\n'
        '[[package]]\nname = "idna"\nversion = "3.10"\n'
        'source = { registry = "https://pypi.org/simple" }\n'
        'wheels = [{ url = "https://example.org/idna-3.10-py3-none-any.whl", '
        f'hash = "sha256:{"0" * 64}" }}]\n\n'
        '[[package]]\nname = "x"\nversion = "1"\nsource = { virtual = "." }\n'
        'dependencies = [{ name = "idna" }]\n\n'
        '[package.metadata]\nrequires-dist = [{ name = "idna", specifier = ">=3" }]\n'
    )
    wanted = find(inventory(flow.parent), flow, flow.parent)
    assert wanted is not None
    assert wanted.origin == "uv.lock"
    assert "idna==3.10" in wanted.text
    assert wanted.python == ">=3.11"


def test_what_a_runtime_requires_is_added_unless_it_is_named():
    wanted = Wanted("Bytewax>=0.20", "here", Path("/"))
    assert wanted.with_defaults(["bytewax==0.21.1"]) == wanted
    added = wanted.with_defaults(["pathway==0.33.0"])
    assert added.text.splitlines() == ["Bytewax>=0.20", "pathway==0.33.0"]
