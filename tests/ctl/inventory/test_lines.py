"""The line of each key, in every way that TOML has to write one."""

import tomllib
from dataclasses import dataclass, field

from hypothesis import given
from hypothesis import strategies as st

from ctl.inventory.lines import KeyPath, find_lines


def lines_of(text: str) -> dict[KeyPath, int]:
    tomllib.loads(text)
    return dict(find_lines(text).known)


def test_tables_and_keys():
    text = 'top = 1\n\n[deployment]\nname = "flights"\n[deployment.env]\nA = "b"\n'
    assert lines_of(text) == {
        ("top",): 1,
        ("deployment",): 3,
        ("deployment", "name"): 4,
        ("deployment", "env"): 5,
        ("deployment", "env", "A"): 6,
    }


def test_arrays_of_tables_and_tables_below_their_elements():
    text = "[[hosts]]\na = 1\n[hosts.x]\nb = 2\n[[hosts]]\n[[hosts.y]]\n[[hosts.y]]\nc = 3\n"
    assert lines_of(text) == {
        ("hosts",): 1,
        ("hosts", 0): 1,
        ("hosts", 0, "a"): 2,
        ("hosts", 0, "x"): 3,
        ("hosts", 0, "x", "b"): 4,
        ("hosts", 1): 5,
        ("hosts", 1, "y"): 6,
        ("hosts", 1, "y", 0): 6,
        ("hosts", 1, "y", 1): 7,
        ("hosts", 1, "y", 1, "c"): 8,
    }


def test_a_header_goes_before_the_tables_in_it_that_came_earlier():
    lines = find_lines("[deployment.secrets]\n[deployment]\nname = 1\n")
    assert lines.of("deployment") == 2
    assert lines.of("deployment", "secrets") == 1


def test_what_looks_like_toml_inside_of_strings_and_comments():
    text = '''
a = """
[x]
b = 1 # \\""" still inside """  # [y] = "
c = \'\'\'
d = "\'\'\'\'\'   # two more quotes belong to it
e = "# [z] \\" \\\\"
f = '# "\\'
g = """"quoted""""" # "
h = [ # ]
  "]", # [
  \'\'\'
]\'\'\', 3]
i = 1
'''
    tops = {path[0]: line for path, line in lines_of(text).items() if len(path) == 1}
    assert tops == {"a": 2, "c": 5, "e": 7, "f": 8, "g": 9, "h": 10, "i": 14}
    assert find_lines(text).of("h", 1) == 12
    assert find_lines(text).of("h", 2) == 13


def test_dotted_and_quoted_keys():
    text = 'a . "b.c" . \'d"\' = 1\n"" = 2\n["x\\u0041" . y]\n\'#\' = 3\n'
    assert lines_of(text) == {
        ("a",): 1,
        ("a", "b.c"): 1,
        ("a", "b.c", 'd"'): 1,
        ("",): 2,
        ("xA",): 3,
        ("xA", "y"): 3,
        ("xA", "y", "#"): 4,
    }


def test_inline_tables_and_arrays():
    text = "a = { b.c = 1, d = [\n 1,\n {e = 1979-05-27 07:32:00, f = {}},\n [] ,\n ] }\ng = 1\n"
    assert lines_of(text) == {
        ("a",): 1,
        ("a", "b"): 1,
        ("a", "b", "c"): 1,
        ("a", "d"): 1,
        ("a", "d", 0): 2,
        ("a", "d", 1): 3,
        ("a", "d", 1, "e"): 3,
        ("a", "d", 1, "f"): 3,
        ("a", "d", 2): 4,
        ("g",): 6,
    }


def test_carriage_returns_do_not_count():
    assert lines_of("a = 1\r\n# c\r\n\r\nb = '''\r\n'''\r\nc = 1") == {
        ("a",): 1,
        ("b",): 4,
        ("c",): 6,
    }


def test_a_key_that_is_missing_has_the_line_of_its_table():
    lines = find_lines('\n[deployment]\nname = "x"\n')
    assert lines.of("deployment", "workers") == 2
    assert lines.of("deployment", "name", "nothing", 3) == 3
    assert lines.of("hosts", 0) == 1


@dataclass
class Written:
    """A TOML text in the making, which knows where it put each key."""

    text: str = ""
    lines: dict[KeyPath, int] = field(default_factory=dict)

    @property
    def line(self) -> int:
        return self.text.count("\n") + 1

    def note(self, path: KeyPath) -> None:
        self.lines[path] = self.line


KEYS = st.text(st.characters(exclude_categories=("Cs",)), max_size=5)
GAPS = st.sampled_from(["", " ", "\t", "\n", "\r\n", ' # ] } = \' """\n', "\n\n"])
BLANKS = st.sampled_from(["", " ", "\t"])
STRINGS = st.sampled_from(
    [
        '"a # \\" ] b"',
        "'\\ # \" }'",
        '"""\n[x]\na = 1\n\\""""""',
        "'''\r\n[[y]]\n''''",
        '""',
        "''",
        '""""""',
        "1979-05-27 07:32:00",
        "-1_000.5e3",
        "true",
        "inf",
    ]
)


def quoted(key: str, *, bare: bool) -> str:
    if bare and key and all(each.isascii() and (each.isalnum() or each in "-_") for each in key):
        return key
    escaped = (
        f"\\u{ord(each):04x}" if ord(each) < 32 or each in '"\\\x7f' else each for each in key
    )
    return f'"{"".join(escaped)}"'


@st.composite
def documents(draw):
    """A text with tables, arrays of tables and values of every kind, and its lines."""
    written = Written()

    def value(path: KeyPath, depth: int) -> None:
        kind = draw(st.sampled_from(["scalar", "array", "table"] if depth < 3 else ["scalar"]))
        if kind == "scalar":
            written.text += draw(STRINGS)
        elif kind == "array":
            written.text += "["
            for index in range(draw(st.integers(0, 3))):
                written.text += draw(GAPS)
                written.note((*path, index))
                value((*path, index), depth + 1)
                written.text += draw(GAPS) + ","
            written.text += draw(GAPS) + "]"
        else:
            written.text += "{"
            for index, key in enumerate(draw(st.lists(KEYS, max_size=3, unique=True))):
                written.text += "," * bool(index)
                pair(path, [key], depth + 1)
            written.text += draw(BLANKS) + "}"

    def pair(table: KeyPath, parts: list[str], depth: int) -> None:
        written.text += draw(BLANKS)
        for index, part in enumerate(parts):
            written.note((*table, *parts[: index + 1]))
            dot = "." if index else ""
            written.text += f"{dot}{draw(BLANKS)}{quoted(part, bare=draw(st.booleans()))}"
            written.text += draw(BLANKS)
        written.text += "=" + draw(BLANKS)
        value((*table, *parts), depth)
        written.text += draw(BLANKS)

    def pairs(table: KeyPath) -> None:
        for key in draw(st.lists(KEYS, max_size=3, unique=True)):
            further = draw(st.lists(KEYS, max_size=2))
            pair(table, [key, *further], 0)
            written.text += "# = [\n" if draw(st.booleans()) else "\n"

    pairs(())
    names = draw(st.lists(KEYS, max_size=3, unique=True))
    for name in names:
        top = f"t-{name}"  # apart from the keys before the first table
        if (top,) in written.lines:
            continue
        header = quoted(top, bare=True)
        if draw(st.booleans()):
            written.text += draw(GAPS)
            written.note((top,))
            written.text += f"[{header}]\n"
            pairs((top,))
        else:
            for index in range(draw(st.integers(1, 3))):
                written.text += draw(GAPS)
                if not index:
                    written.note((top,))
                written.note((top, index))
                written.text += f"[[ {header} ]]\n"
                pairs((top, index))
    return written


def paths(value: object, path: KeyPath = ()) -> set[KeyPath]:
    """Every path in what tomllib makes of a text."""
    items: list[tuple[str | int, object]] = []
    if isinstance(value, dict):
        items = list(value.items())
    elif isinstance(value, list):
        items = list(enumerate(value))
    return {each for key, inner in items for each in ({(*path, key)} | paths(inner, (*path, key)))}


@given(documents())
def test_generated_texts(written):
    # What tomllib says is there is what is found, and each is where it was written.
    assert lines_of(written.text) == written.lines
    assert set(written.lines) == paths(tomllib.loads(written.text))
