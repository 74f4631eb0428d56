"""Which files a pattern of the inventory brings."""

import pytest

from ctl.errors import FlowError, InventoryError
from ctl.layers import code_layer

FILES = {
    "flow.py": "",
    "a.csv": "",
    "data/b.csv": "",
    "data/c.txt": "",
    "data/deep/er/d.csv": "",
    "data/.hidden": "",
    "data/.cache/e.csv": "",
    "data/__pycache__/f.pyc": "",
    "data/it's [1].csv": "",
    ".env": "",
}
VISIBLE = ("data/b.csv", "data/c.txt", "data/deep/er/d.csv", "data/it's [1].csv")


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("a.csv", ["a.csv"]),
        ("./a.csv", ["a.csv"]),
        ("*.csv", ["a.csv"]),
        ("?.csv", ["a.csv"]),
        ("[!b].csv", ["a.csv"]),
        ("data/*.csv", ["data/b.csv", "data/it's [1].csv"]),
        ("data/it's [[]1].csv", ["data/it's [1].csv"]),
        ("**/*.csv", ["a.csv", "data/b.csv", "data/deep/er/d.csv", "data/it's [1].csv"]),
        ("data/**/d.csv", ["data/deep/er/d.csv"]),
        ("**/er", ["data/deep/er/d.csv"]),
        ("**/er/**/**", ["data/deep/er/d.csv"]),
        ("data", VISIBLE),
        ("data/", VISIBLE),
        ("data/**", VISIBLE),
        ("data/*", VISIBLE),
        (".env", [".env"]),
        (".*", [".env"]),
        ("data/.hidden", ["data/.hidden"]),
        ("data/.cache", ["data/.cache/e.csv"]),
        ("data/.*/*", ["data/.cache/e.csv"]),
        ("data/__pycache__/f.pyc", ["data/__pycache__/f.pyc"]),
    ],
)
def test_a_pattern_brings_what_it_names(tree, pattern, expected):
    root = tree(FILES)
    made = code_layer("flow.py", (pattern,), root, root)
    assert made.included == tuple(expected)
    assert [e.path for e in made.layer.entries] == sorted({*expected, "flow.py"})


def test_several_patterns_may_bring_the_same(tree):
    root = tree(FILES)
    made = code_layer("flow.py", ("*.csv", "a.*", "flow.py"), root, root)
    assert made.included == ("a.csv", "flow.py")


def test_paths_start_at_the_folder_of_the_inventory(tree):
    root = tree(FILES)
    flows = tree({"flow.py": ""}, at="flows")
    made = code_layer("flow.py", ("data/b.csv",), root, flows)
    assert [entry.path for entry in made.layer.entries] == ["data/b.csv", "flow.py"]


@pytest.mark.parametrize("pattern", ["*.parquet", "data/deep/*.csv", "a.csv/x", "**/nothing"])
def test_a_pattern_that_matches_nothing_is_named(tree, pattern):
    root = tree(FILES)
    with pytest.raises(InventoryError) as caught:
        code_layer("flow.py", (pattern,), root, root)
    assert caught.value.problem == f"include {pattern!r} matches no file; looked in {root}"


@pytest.mark.parametrize("pattern", ["/etc/passwd", "../x", "data/../../x", "", ".", "a\0b"])
def test_a_pattern_that_leads_out_is_refused(tree, pattern):
    root = tree(FILES)
    with pytest.raises(InventoryError) as caught:
        code_layer("flow.py", (pattern,), root, root)
    problem = f"include {pattern!r} is not a path below the folder of the inventory, {root}"
    assert caught.value.problem == problem


def test_only_links_that_are_matched_have_to_stay_inside(tree):
    root = tree(FILES)
    (root / "data" / "etc").symlink_to("/etc")
    made = code_layer("flow.py", ("data/*.csv",), root, root)
    assert made.included == ("data/b.csv", "data/it's [1].csv")
    with pytest.raises(FlowError, match="data/etc cannot be pushed: it is a link that leads out"):
        code_layer("flow.py", ("data/*",), root, root)


def test_circles_of_links_come_to_an_end(tree):
    root = tree({"flow.py": "", "a/x.csv": "", "b/y.csv": ""})
    (root / "a" / "to_b").symlink_to("../b")
    (root / "b" / "to_a").symlink_to("../a")
    with pytest.raises(FlowError, match="cannot be pushed: it is a link that leads in a circle"):
        code_layer("flow.py", ("**/*.csv",), root, root)
