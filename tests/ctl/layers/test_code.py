"""What of the operator's code is pushed, found without running it."""

import sys
import time
from pathlib import Path

import pytest

from ctl.errors import FlowError, NotFoundError, UsageError
from ctl.layers import Foreign, code_layer, engine_layer
from ctl.layers import tree as trees
from tests.ctl.layers.conftest import run


def pushed(root, flow="flow.py", include=()):
    return [entry.path for entry in code_layer(flow, include, root, root).layer.entries]


@pytest.mark.parametrize(
    "statement",
    [
        "import helper",
        "import helper as h",
        "from helper import something",
        "from helper import *",
        "def f():\n    import helper",
        "try:\n    import helper\nexcept ImportError:\n    pass",
        "import importlib\nimportlib.import_module('helper')",
        "import other",
    ],
)
def test_a_module_beside_is_pushed(tree, statement):
    root = tree({"flow.py": statement, "helper.py": "1", "other.py": "import helper", "no.py": ""})
    assert set(pushed(root)) - {"other.py"} == {"flow.py", "helper.py"}


def test_nothing_is_run(tree):
    root = tree({"flow.py": "import a\nraise SystemExit(1)", "a.py": "raise SystemExit(2)"})
    assert pushed(root) == ["a.py", "flow.py"]


def test_imports_for_a_type_checker_are_left_out(tree):
    source = "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import helper"
    assert pushed(tree({"flow.py": source, "helper.py": ""})) == ["flow.py"]


def test_a_package_brings_all_that_is_in_its_folder(tree):
    root = tree(
        {
            "flow.py": "import package.sub.module",
            "package/__init__.py": "",
            "package/plugin.py": "import by_plugin",
            "package/words.txt": "",
            "package/py.typed": "",
            "package/sub/__init__.py": "",
            "package/sub/module.py": "from .. import plugin",
            "package/.hidden": "",
            "package/.git/config": "",
            "package/__pycache__/plugin.cpython-311.pyc": "",
            "package/env/pyvenv.cfg": "",
            "package/env/lib.py": "",
            "by_plugin.py": "",
            "beside.py": "",
        }
    )
    assert pushed(root) == [
        "by_plugin.py",
        "flow.py",
        "package/__init__.py",
        "package/plugin.py",
        "package/py.typed",
        "package/sub/__init__.py",
        "package/sub/module.py",
        "package/words.txt",
    ]


@pytest.mark.parametrize(
    "statement", ["from . import near", "from .near import x", "from ..pack.near import x"]
)
def test_relative_imports_lead_on(tree, statement):
    files = {
        "flow.py": "from top.pack.first import x",
        "top/pack/__init__.py": "",
        "top/pack/first.py": statement,
        "top/pack/near.py": "import far",
        "far.py": "",
    }
    assert "far.py" in pushed(tree(files))


@pytest.mark.parametrize(
    "statement", ["import space.one.a", "from space.one import a", "from space.one.a import x"]
)
def test_a_namespace_package_brings_what_is_imported(tree, statement):
    root = tree(
        {"flow.py": statement, "space/one/a.py": "", "space/one/b.py": "", "space/c.py": ""}
    )
    assert pushed(root) == ["flow.py", "space/one/a.py"]


def test_a_package_in_a_namespace_package_is_whole(tree):
    files = {"flow.py": "import space.pack", "space/pack/__init__.py": "", "space/pack/b.py": ""}
    assert pushed(tree(files)) == ["flow.py", "space/pack/__init__.py", "space/pack/b.py"]


def test_parents_of_a_package_are_read(tree):
    files = {
        "flow.py": "import top.sub.module",
        "top/__init__.py": "import by_top",
        "top/sub/__init__.py": "import by_sub",
        "top/sub/module.py": "",
        "by_top.py": "",
        "by_sub.py": "",
    }
    assert {"by_top.py", "by_sub.py"} <= set(pushed(tree(files)))


def test_a_folder_of_data_is_not_taken_for_an_installed_package(tree):
    files = {"flow.py": "import json, pytest", "json/a.txt": "", "pytest/a.txt": "", "sys.py": ""}
    root = tree(files)
    assert code_layer("flow.py", (), root, root).foreign == (Foreign("pytest", "flow.py", 1),)


def test_a_module_with_the_name_of_pythons_own_comes_first_here_and_there(tree):
    assert pushed(tree({"flow.py": "import random", "random.py": ""})) == ["flow.py", "random.py"]


def test_modules_may_import_each_other(tree):
    root = tree({"flow.py": "import a", "a.py": "import b", "b.py": "import a, flow"})
    assert pushed(root) == ["a.py", "b.py", "flow.py"]


def test_what_is_neither_local_nor_pythons_own_is_noted_once(tree):
    root = tree(
        {
            "flow.py": "import os, engine.dataflow\nimport numpy.linalg\nimport helper, numpy",
            "helper.py": "\nfrom nowhere.at import all\nimport space.far.away, package.missing",
            "space/near.py": "",
            "package/__init__.py": "",
            "package/unused.py": "import quiet",
        }
    )
    assert code_layer("flow.py", (), root, root).foreign == (
        Foreign("numpy", "flow.py", 2),
        Foreign("nowhere", "helper.py", 2),
        Foreign("space.far", "helper.py", 3),
    )


@pytest.mark.parametrize(
    ("flow", "place", "expected"),
    [
        ("flow.py", "", "flow.py"),
        ("flow.py:other", "", "flow.py:other"),
        ("sub/flow.py:make('a:b.py', n=1)", "sub", "flow.py:make('a:b.py', n=1)"),
        ("./sub/../flow.py:x", "", "flow.py:x"),
        ("flow", "", "flow"),
        ("sub.flow:make(1)", "", "sub.flow:make(1)"),
    ],
)
def test_the_argument_is_rewritten_for_the_layer(tree, flow, place, expected):
    root = tree(
        {"flow.py": "import near", "near.py": "", "sub/flow.py": "import near", "sub/near.py": ""}
    )
    made = code_layer(flow, (), root, root)
    paths = {entry.path for entry in made.layer.entries}
    assert made.flow == expected
    assert paths == ({"sub/flow.py", "near.py"} if "sub." in flow else {"flow.py", "near.py"})


def test_an_absolute_path_needs_no_current_folder(tree, tmp_path):
    root = tree({"flow.py": ""})
    made = code_layer(f"{root / 'flow.py'}:x", (), tmp_path, tmp_path)
    assert made.flow == "flow.py:x"


def test_the_digest_depends_on_contents_alone(tree):
    files = {"flow.py": "import a", "a.py": "1", "data/x": "1"}
    one, other = tree(files, at="one"), tree(files, at="other")
    layers = [code_layer("flow.py", ("data/*",), each, each).layer for each in (one, other)]
    assert layers[0].digest == layers[1].digest


def test_it_runs_where_it_was_unpacked(python, tree, tmp_path, unpack):
    root = tree(
        {
            "my flow.py": """
import engine.operators as op
from engine.connectors.stdio import StdOutSink
from engine.dataflow import Dataflow
from engine.testing import TestingSource
from package.words import say

def make(count):
    flow = Dataflow("double")
    nums = op.input("inp", flow, TestingSource(range(count)))
    op.output("out", op.map("say", nums, say), StdOutSink())
    return flow
""",
            "package/__init__.py": "",
            "package/words.py": "from pathlib import Path\n"
            "say = Path(__file__).with_name('word').read_text().format",
            "package/word": "<{}>",
        }
    )
    made = code_layer("my flow.py:make(2)", (), root, root)
    words = ("-S", "-P", "-m", "engine.run", unpack(made.layer) / made.flow)
    path = unpack(engine_layer())
    done = run(python, *words, cwd=tmp_path, PYTHONPATH=path, ENGINE_LOG_LEVEL="WARNING")
    assert (done.returncode, done.stdout) == (0, "<0>\n<1>\n"), done.stderr


# What is refused


def refused(kind, root, flow="flow.py", include=()):
    with pytest.raises(kind) as caught:
        code_layer(flow, include, root, root)
    return str(caught.value).replace(str(root), "ROOT")


def test_no_such_flow(tree):
    root = tree({"folder.py/x": "", "space/x.py": ""})
    assert (
        refused(NotFoundError, root) == "flow file flow.py does not exist; looked for ROOT/flow.py"
    )
    assert (
        refused(NotFoundError, root, "folder.py") == "flow file folder.py is a folder, not a file"
    )
    assert refused(NotFoundError, root, "space.y:flow") == (
        "there is no module `space.y`; looked in ROOT; "
        "run ctl in the folder that the module is in, or name its file"
    )
    assert refused(UsageError, root, "a/b").startswith("FLOW 'a/b'")


def test_a_syntax_error_is_shown_where_it_is(tree):
    version = "{}.{}".format(*sys.version_info)
    root = tree({"flow.py": "import a.b", "a/__init__.py": "", "a/b.py": "\nx = = 1\n"})
    assert refused(FlowError, root) == (
        f"a/b.py:2: invalid syntax, as Python {version} reads it\n    x = = 1"
    )


def test_a_broken_file_that_nobody_imports_is_pushed_as_it_is(tree):
    root = tree({"flow.py": "import a", "a/__init__.py": "", "a/template.py": "{{ name }} = ="})
    assert "a/template.py" in pushed(root)


@pytest.mark.parametrize("name", ["engine.py", "ctl.py", "engine/__init__.py", "ctl/__init__.py"])
@pytest.mark.parametrize("flow", ["flow.py", "flow:flow"])
def test_the_names_of_our_packages_are_refused(tree, name, flow):
    root = tree({"flow.py": "", name: ""})
    package = name.partition("/")[0].removesuffix(".py")
    what = name.removesuffix("/__init__.py")
    assert refused(FlowError, root, flow) == (
        f"ROOT/{what} has the name of hostmesh's package `{package}`; rename it"
    )


def test_our_own_checkout_is_no_other(repository):
    made = code_layer("examples.flights:flow", (), repository, repository)
    assert [entry.path for entry in made.layer.entries] == ["examples/flights.py"]
    assert made.foreign == ()


def test_links_that_stay_inside_are_followed(tree):
    root = tree({"flow.py": "import a, b", "a.py": "1", "real/__init__.py": "", "real/x": ""})
    (root / "b").symlink_to("real")
    (root / "real" / "y").symlink_to("../a.py")
    made = code_layer("flow.py", (), root, root)
    assert [e.path for e in made.layer.entries] == [
        "a.py",
        "b/__init__.py",
        "b/x",
        "b/y",
        "flow.py",
    ]


@pytest.mark.parametrize("link", ["helper.py", "package", "package/data"])
def test_links_that_lead_out_are_refused(tree, link):
    out = tree({"f": "", "__init__.py": ""}, at="out")
    root = tree({"flow.py": "import helper, package"})
    path = root / link
    path.parent.mkdir(exist_ok=True)
    path.symlink_to(out / "f" if link == "helper.py" else out)
    (root / "package").mkdir(exist_ok=True)
    (root / "package" / "__init__.py").touch()
    assert refused(FlowError, root) == (
        f"ROOT/{link} cannot be pushed: it is a link that leads out of ROOT; "
        "put a copy in its place"
    )


def test_a_link_that_leads_nowhere_or_in_a_circle_is_refused(tree):
    root = tree({"flow.py": "import a", "a/__init__.py": ""})
    (root / "a" / "link").symlink_to("gone")
    assert (
        refused(FlowError, root) == "ROOT/a/link cannot be pushed: it is a link that leads nowhere"
    )
    (root / "a" / "link").unlink()
    (root / "a" / "link").symlink_to("../a")
    assert refused(FlowError, root) == (
        "ROOT/a/link cannot be pushed: it is a link that leads in a circle"
    )


def test_a_flow_that_is_a_link_is_followed_as_its_user_has_named_it(tree):
    tree({"real.py": "x = 1"}, at="out")
    root = tree({"near.py": ""})
    (root / "flow.py").symlink_to("../out/real.py")
    assert pushed(root) == ["flow.py"]


def test_two_files_cannot_have_one_path(tree):
    root = tree({"flows/flow.py": "import words", "flows/words.py": "1", "words.py": "2"})
    assert refused(FlowError, root, "flows/flow.py", ("*.py",)) == (
        "two different files would be pushed as 'words.py': ROOT/flows/words.py "
        "(the module 'words') and ROOT/words.py (include '*.py'); rename one of them"
    )
    (root / "words.py").write_text("1")
    assert pushed(root, "flows/flow.py", ("*.py",)) == ["flow.py", "words.py"]


def test_too_many_files_name_what_brings_them(tree, monkeypatch):
    monkeypatch.setattr(trees, "FILES_LIMIT", 10)
    root = tree({"flow.py": "", **{f"data/{n}": "" for n in range(20)}})
    assert refused(FlowError, root, include=("data/*",)) == (
        "the flow would bring more than 10 files, 10 of include 'data/*'; narrow include 'data/*'"
    )


def test_a_file_that_is_too_large_is_named_with_what_brings_it(tree):
    root = tree({"flow.py": "", "data/large": ""})
    with (root / "data" / "large").open("wb") as file:
        file.truncate((1 << 30) + 1)
    assert refused(FlowError, root, include=("data",)) == (
        "ROOT/data/large has 1.0 GiB, and at most 1 GiB is pushed of a file; "
        "narrow include 'data', which brings it"
    )


@pytest.mark.parametrize("name", ["flow.py", "data"])
def test_a_file_that_cannot_be_read_is_named(tree, monkeypatch, name):
    root = tree({"flow.py": "", "data": ""})
    really = Path.open

    def refuse(self, *args, **kwargs):
        if self.name == name:
            raise PermissionError(13, "Permission denied")
        return really(self, *args, **kwargs)

    # The user of the tests may be root, who can read everything.
    monkeypatch.setattr(Path, "open", refuse)
    assert refused(FlowError, root, include=("data",)) in {
        f"ROOT/{name} cannot be {what}: Permission denied" for what in ("read", "pushed")
    }


def test_two_hundred_small_files_take_no_time(tree):
    source = "import os\n\n\ndef f(x):\n    return x + 1\n" * 10
    root = tree({f"package/m{n}.py": source for n in range(20)})
    tree({"flow.py": "import package", "package/__init__.py": ""})
    tree({f"data/{n}": source for n in range(200)})
    times = []
    for _ in range(5):
        start = time.process_time()
        code_layer("flow.py", ("data/*",), root, root)
        times.append(time.process_time() - start)
    assert min(times) < 0.1
