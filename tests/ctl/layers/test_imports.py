"""What a file imports, found without running it."""

import pytest

from ctl.layers.imports import Import, imports_of


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("import a", [Import(1, "a")]),
        ("import a.b as c, d", [Import(1, "a.b"), Import(1, "d")]),
        ("from a import b, c as d", [Import(1, "a", ("b", "c"))]),
        ("from a import *", [Import(1, "a", ("*",))]),
        ("from . import a", [Import(1, "", ("a",), 1)]),
        ("from ..a import b", [Import(1, "a", ("b",), 2)]),
        ("def f():\n  async def g():\n    import a", [Import(3, "a")]),
        ("class A:\n  import a", [Import(2, "a")]),
        ("try:\n  import a\nexcept E:\n  import b", [Import(2, "a"), Import(4, "b")]),
        ("match x:\n  case 1:\n    import a", [Import(3, "a")]),
        ("with x:\n  import a", [Import(2, "a")]),
        (
            "import importlib\nimportlib.import_module('a.b')",
            [Import(1, "importlib"), Import(2, "a.b")],
        ),
        ("f = lambda: import_module('a')", [Import(1, "a")]),
        ("import_module('..a', __package__)", [Import(1, "a", (), 2)]),
        ("__import__('a')", [Import(1, "a")]),
        ("import_module(name)", []),
        ("import_module(b'a')", []),
        ("import_module()", []),
        ("if TYPE_CHECKING:\n  import a\nelse:\n  import b", [Import(4, "b")]),
        ("if typing.TYPE_CHECKING:\n  import a", []),
        ("if TYPE_CHECKING:\n  import a\nelif x:\n  import b", [Import(4, "b")]),
        ("if not TYPE_CHECKING:\n  import a\nelse:\n  import b", [Import(2, "a")]),
        ("# coding: latin-1\nimport a\nx = '\xe9'".encode("latin-1"), [Import(2, "a")]),
        ("x = '\\d'", []),
    ],
)
def test_imports_are_found(source, expected):
    assert imports_of(source if isinstance(source, bytes) else source.encode()) == expected


@pytest.mark.parametrize("source", [b"def", b"a\0b", b"\xff", b"# coding: none\n", b"(" * 9999])
def test_what_is_no_python_is_a_syntax_error(source):
    with pytest.raises(SyntaxError):
        imports_of(source)


@pytest.mark.parametrize(
    ("imported", "package", "expected"),
    [
        (Import(1, "a"), "", "a"),
        (Import(1, "a", (), 1), "p", "p.a"),
        (Import(1, "", ("a",), 1), "p.q", "p.q"),
        (Import(1, "a", (), 2), "p.q", "p.a"),
        (Import(1, "a", (), 2), "p", None),
        (Import(1, "a", (), 1), "", None),
    ],
)
def test_dots_lead_up_from_the_package(imported, package, expected):
    found = imported.absolute(package)
    assert (found and found.module) == expected
