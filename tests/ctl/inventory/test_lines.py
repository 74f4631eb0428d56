"""The line of each key, in every way that TOML has to write one."""

import tomllib

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


KEYS = st.text(st.characters(codec="utf-8"), max_size=5)
DIFFERENT_KEYS = st.lists(KEYS, max_size=3, unique=True)
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


class Writer:
    """Writes a TOML text, and knows where it puts each key."""

    def __init__(self, draw) -> None:
        self.draw = draw
        self.text = ""
        self.lines: dict[KeyPath, int] = {}

    def note(self, path: KeyPath) -> None:
        self.lines[path] = self.text.count("\n") + 1

    def value(self, path: KeyPath, depth: int) -> None:
        kind = self.draw(st.sampled_from(["scalar", "array", "table"] if depth < 3 else ["scalar"]))
        if kind == "scalar":
            self.text += self.draw(STRINGS)
        elif kind == "array":
            self.array(path, depth)
        else:
            self.text += "{"
            for index, key in enumerate(self.draw(DIFFERENT_KEYS)):
                self.text += "," * bool(index)
                self.pair(path, [key], depth + 1)
            self.text += self.draw(BLANKS) + "}"

    def array(self, path: KeyPath, depth: int) -> None:
        self.text += "["
        for index in range(self.draw(st.integers(0, 3))):
            self.text += self.draw(GAPS)
            self.note((*path, index))
            self.value((*path, index), depth + 1)
            self.text += self.draw(GAPS) + ","
        self.text += self.draw(GAPS) + "]"

    def pair(self, table: KeyPath, parts: list[str], depth: int) -> None:
        self.text += self.draw(BLANKS)
        for index, part in enumerate(parts):
            self.note((*table, *parts[: index + 1]))
            self.text += "." * bool(index) + self.draw(BLANKS)
            self.text += quoted(part, bare=self.draw(st.booleans())) + self.draw(BLANKS)
        self.text += "=" + self.draw(BLANKS)
        self.value((*table, *parts), depth)
        self.text += self.draw(BLANKS)

    def pairs(self, table: KeyPath) -> None:
        for key in self.draw(DIFFERENT_KEYS):
            self.pair(table, [key, *self.draw(st.lists(KEYS, max_size=2))], 0)
            self.text += self.draw(st.sampled_from(["\n", "# = [\n", "\r\n"]))

    def table(self, name: str) -> None:
        self.text += self.draw(GAPS)
        self.note((name,))
        self.text += f"[{quoted(name, bare=True)}]\n"
        self.pairs((name,))

    def array_of_tables(self, name: str) -> None:
        for index in range(self.draw(st.integers(1, 3))):
            self.text += self.draw(GAPS)
            if not index:
                self.note((name,))
            self.note((name, index))
            self.text += f"[[ {quoted(name, bare=True)} ]] # x\n"
            self.pairs((name, index))


@st.composite
def documents(draw):
    """A text with tables, arrays of tables and values of every kind, and its lines."""
    writer = Writer(draw)
    writer.pairs(())
    for key in draw(DIFFERENT_KEYS):
        name = f"t-{key}"
        if (name,) not in writer.lines:
            draw(st.sampled_from([writer.table, writer.array_of_tables]))(name)
    return writer


def paths(value: object, path: KeyPath = ()) -> set[KeyPath]:
    """Every path in what tomllib makes of a text."""
    items: list[tuple[str | int, object]] = []
    if isinstance(value, dict):
        items = list(value.items())
    elif isinstance(value, list):
        items = list(enumerate(value))
    return {each for key, inner in items for each in ({(*path, key)} | paths(inner, (*path, key)))}


@given(documents())
def test_generated_texts(writer):
    # What tomllib says is there is what is found, and each is where it was written.
    assert lines_of(writer.text) == writer.lines
    assert set(writer.lines) == paths(tomllib.loads(writer.text))
