"""The code for hosts needs nothing but Python there."""

import json
import zlib

from ctl.layers import agent_layer, agent_sources
from tests.ctl.layers.conftest import run

IMPORT_ALL = """
import sys
from importlib import import_module
from pathlib import Path

root = Path(sys.argv[1])
sys.path.insert(0, str(root))
for file in sorted(root.glob("ctl/remote/**/*.py")):
    import_module(".".join(file.relative_to(root).with_suffix("").parts))
for name, module in list(sys.modules.items()):
    file = getattr(module, "__file__", None)
    if name.partition(".")[0] not in {*sys.stdlib_module_names, "__main__", "ctl"}:
        print(name, file)
    if name.startswith("ctl") and root not in Path(file).parents:
        print(name, file)
"""


def test_every_module_imports_on_a_bare_python(python, tmp_path, unpack):
    folder = unpack(agent_layer())
    done = run(python, "-I", "-S", "-W", "error", "-c", IMPORT_ALL, folder, cwd=tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_it_holds_what_runs_on_hosts_and_no_more():
    paths = {entry.path for entry in agent_layer().entries}
    assert {"ctl/__init__.py", "ctl/remote/__init__.py", "ctl/remote/digest.py"} <= paths
    assert "ctl/remote/boot.py" not in paths
    assert {path for path in paths if not path.startswith("ctl/remote/")} == {"ctl/__init__.py"}


def test_its_sources_go_by_the_names_of_modules():
    layer = agent_layer()
    sources = json.loads(zlib.decompress(agent_sources(layer)))
    assert len(sources) == len(layer.entries)
    assert sources["ctl"] == ""
    assert sources["ctl.remote"].startswith('"""')
    assert "def digest_of_items(" in sources["ctl.remote.digest"]
    assert agent_sources(layer) == agent_sources(agent_layer())
