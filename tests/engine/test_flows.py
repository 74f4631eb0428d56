"""What a FLOW argument may be, and what is said when it cannot be loaded."""

import sys
from pathlib import Path

import pytest

from engine.errors import FlowLoadError, FlowNotFoundError, InterruptedRunError, UsageError
from engine.flows import FlowReference, load_flow

FLOW = """
from engine.dataflow import Dataflow
flow = Dataflow("plain")
other = Dataflow("other")
number = 3
def make(name, *, suffix=""):
    return Dataflow(name + suffix)
def broken():
    raise LookupError("no such key")
def nothing():
    pass
"""


@pytest.fixture(autouse=True)
def _own_imports(tmp_path, monkeypatch):
    """Each test has a current folder, `sys.path` and `sys.modules` of its own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", sys.path[:])
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    before = set(sys.modules)
    yield
    for name in set(sys.modules) - before:
        del sys.modules[name]


def write(name: str, text: str = FLOW) -> str:
    path = Path(name)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return name


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("pkg.mod", FlowReference("pkg.mod", is_file=False)),
        ("mod:other", FlowReference("mod", is_file=False, name="other")),
        ("my-mod:other", FlowReference("my-mod", is_file=False, name="other")),
        ("a/b.py", FlowReference("a/b.py", is_file=True)),
        ("b.py:other", FlowReference("b.py", is_file=True, name="other")),
        ("./a:b/c.py:other", FlowReference("./a:b/c.py", is_file=True, name="other")),
        (
            "mod:make('x.py:y', 2, k=[1])",
            FlowReference("mod", False, "make", (("x.py:y", 2), {"k": [1]})),
        ),
        ("a/b.py:make()", FlowReference("a/b.py", True, "make", ((), {}))),
    ],
)
def test_forms(text, expected):
    assert FlowReference.parse(text) == expected


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "names no module and no file"),
        ("a/b", "the path of a flow ends in .py"),
        ("a..b", "names no module"),
        ("mod:", "'' is no variable"),
        ("mod:a.b", "'a.b' is no variable"),
        ("mod:make(", "'make(' is no variable"),
        ("mod:make(x)", "arguments of a factory are literals"),
        ("mod:make(*[1])", "arguments of a factory are literals"),
        ("mod:make(**{'a': 1})", "instead of using `**`"),
        ("mod:make(k=open('x'))", "arguments of a factory are literals"),
    ],
)
def test_what_has_none_of_the_forms_is_a_usage_error(text, words):
    with pytest.raises(UsageError, match=r".*") as raised:
        FlowReference.parse(text)
    assert words in str(raised.value)


@pytest.mark.parametrize(
    ("text", "flow_id"),
    [
        ("mine.py", "plain"),
        ("mine.py:other", "other"),
        ("mine", "plain"),
        ("mine:make('a', suffix='b')", "ab"),
    ],
)
def test_loads_a_dataflow(text, flow_id):
    write("mine.py")
    assert load_flow(text).flow_id == flow_id


def test_a_file_finds_the_modules_beside_it(tmp_path):
    write("deep/beside_it.py", "NAME = 'beside'")
    write(
        "deep/my.flow.py",
        "from beside_it import NAME\nfrom engine.dataflow import Dataflow\nflow = Dataflow(NAME)",
    )
    assert load_flow("deep/my.flow.py").flow_id == "beside"
    assert sys.path[0] == str(tmp_path / "deep")


def test_a_module_is_found_in_the_current_folder(tmp_path):
    write("package_here/__init__.py", "")
    write("package_here/inner.py")
    assert load_flow("package_here.inner").flow_id == "plain"
    assert sys.path[0] == str(tmp_path)


def test_what_a_file_defines_can_be_pickled():
    import pickle

    write("shapes_of_mine.py", FLOW + "\nclass Shape:\n    pass\n")
    load_flow("shapes_of_mine.py")
    shape = sys.modules["shapes_of_mine"].Shape()
    assert type(pickle.loads(pickle.dumps(shape))) is type(shape)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("nope.py", "flow file nope.py does not exist; looked for {here}/nope.py"),
        ("folder.py", "flow file folder.py is a folder, not a file"),
        ("nope_module", "there is no module `nope_module`; looked in {here} and on sys.path"),
        ("nope.inner", "there is no module `nope`; looked in {here} and on sys.path"),
        ("mine.inner", "there is no module `mine.inner`; looked in {here} and on sys.path"),
        ("mine.py:nope", "mine.py has no variable `nope`; it has mine.py:flow, mine.py:other"),
        ("empty.py", "empty.py has no variable `flow`; it has no Dataflow"),
    ],
)
def test_what_is_not_there_is_named(tmp_path, text, sentence):
    write("mine.py")
    write("empty.py", "")
    Path("folder.py").mkdir()
    with pytest.raises(FlowNotFoundError) as raised:
        load_flow(text)
    assert str(raised.value) == sentence.format(here=tmp_path)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("syntax.py", "syntax.py:2: '(' was never closed\n    flow = ("),
        (
            "imports.py",
            "imports.py failed while it was loaded: ModuleNotFoundError: "
            "No module named 'not_installed'",
        ),
        ("raises.py", "raises.py failed while it was loaded: ZeroDivisionError: division by zero"),
        ("exits.py", "exits.py called sys.exit('bye') while it was loaded"),
        ("mine.py:number", "`number` of mine.py is an int, not a Dataflow; it has {flows}"),
        (
            "mine.py:make",
            "`make` of mine.py is a function, not a Dataflow; if it returns one, call it: "
            "mine.py:make(); it has {flows}",
        ),
        (
            "mine.py:make()",
            "factory `make(name, *, suffix='')` of mine.py: missing a required argument: 'name'",
        ),
        (
            "mine.py:make('a', 'b')",
            "factory `make(name, *, suffix='')` of mine.py: too many positional arguments",
        ),
        (
            "mine.py:number()",
            "`number` of mine.py is an int; it cannot be called; it has {flows}",
        ),
        ("mine.py:broken()", "mine.py failed while it was loaded: LookupError: no such key"),
        ("mine.py:nothing()", "`nothing` of mine.py returned a NoneType, not a Dataflow{has}"),
    ],
)
def test_what_cannot_be_loaded_says_why(text, sentence):
    write("mine.py")
    write("syntax.py", "x = 1\nflow = (\n")
    write("imports.py", "import not_installed")
    write("raises.py", "1 / 0")
    write("exits.py", "import sys\nsys.exit('bye')")
    with pytest.raises(FlowLoadError) as raised:
        load_flow(text)
    flows = "mine.py:flow, mine.py:other"
    assert str(raised.value) == sentence.format(flows=flows, has=f"; it has {flows}")


def test_the_exception_of_the_user_is_the_cause():
    write("raises.py", "1 / 0")
    with pytest.raises(FlowLoadError) as raised:
        load_flow("raises.py")
    assert isinstance(raised.value.__cause__, ZeroDivisionError)


def test_an_exception_that_cannot_be_shown_is_named():
    write("odd.py", "class Odd(Exception):\n    def __str__(self):\n        1 / 0\nraise Odd")
    with pytest.raises(FlowLoadError, match=r"^odd\.py failed while it was loaded: Odd$"):
        load_flow("odd.py")


def test_a_module_that_failed_is_not_left_behind():
    write("raises.py", "1 / 0")
    with pytest.raises(FlowLoadError):
        load_flow("raises.py")
    assert "raises" not in sys.modules


def test_an_interrupt_ends_the_loading():
    write("stops.py", "raise KeyboardInterrupt")
    with pytest.raises(InterruptedRunError, match=r"interrupted while stops.py was loaded"):
        load_flow("stops.py")


@pytest.mark.parametrize("theirs", ["engine.py", "engine/__init__.py", "ctl.py", "ctl/__init__.py"])
def test_a_package_that_would_hide_ours_is_refused_by_name(tmp_path, theirs):
    write("mine.py")
    write(theirs, "")
    what = tmp_path / theirs.removesuffix("/__init__.py")
    name = theirs.partition("/")[0].removesuffix(".py")
    for text in ("mine.py", "mine"):
        with pytest.raises(FlowLoadError) as raised:
            load_flow(text)
        assert str(raised.value) == (
            f"{what} has the name of hostmesh's package `{name}`; rename it"
        )


def test_a_data_folder_named_engine_is_fine():
    write("mine.py")
    Path("engine").mkdir()
    assert load_flow("mine.py").flow_id == "plain"


def test_a_file_that_would_hide_a_module_of_python_is_refused_by_name(tmp_path):
    write("csv.py")
    with pytest.raises(FlowLoadError) as raised:
        load_flow("csv.py")
    assert str(raised.value) == f"{tmp_path}/csv.py hides Python's own module `csv`; rename it"
