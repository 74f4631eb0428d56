"""Whatever a file has: a valid inventory, or errors with line and key; never another exception."""

import contextlib

from hypothesis import given
from hypothesis import strategies as st

from ctl.errors import InventoryError
from ctl.inventory import Inventory, read, resolve
from tests.ctl.inventory.reading import FILE, problems

VALID = """\
[deployment]
name = "flights"
runtime = "engine"
workers = 2
requirements = ["numpy", 'polars']
include = [
  "data/*.csv", # the data
]
env = { LOG_LEVEL = "info" }
heartbeat_timeout = 5
epoch_interval = 0.5
[deployment.recovery]
store = "s3://bucket/flights"
interval = 10
[deployment.secrets]
TOKEN = { env = "TOKEN" }
KEY.file = "key"
[defaults]
user = "deploy"
python = "python3.11"
processes = 1
mesh_port = 9000
root = "~/.hostmesh"
[[hosts]]
name = "alpha"
ssh = "alpha.example"
ssh_port = 22
address = "192.168.1.10"
bind = "0.0.0.0"
processes = 2
workdir = "/srv/flights"
transport = "ssh"
[[hosts]]
name = "beta"
address = "[::2]"
"""
LINES = VALID.splitlines()
VALUES = st.sampled_from(
    [
        *("", '""', "'x'", '"10.0.0.1"', '"127.0.0.1"', '"::"', '"a\\u0000b"', '"\\u001b"'),
        *("0", "-1", "1.5", "65535", "1e400", "nan", "-inf", f"0x{'f' * 300}", "true"),
        *("[]", "[1, [2]]", "['a']", "{}", "{ a = 1 }", "1979-05-27", "07:32:00"),
        *('"""\n[x]\n"""', "'''\n'''", "[\n1,\n]", '"-x"', '"~"', '"a@b:1"', '"\\uffff"'),
    ]
)
KEYS = st.sampled_from(
    [
        *sorted({line.partition(" = ")[0] for line in LINES if " = " in line}),
        *("hosts", "deployment", "defaults", "adress", '""', '"\\n"', "a.b", "name.x", "'[['"),
    ]
)
HEADERS = st.sampled_from(
    [
        *("[deployment]", "[deployment.env]", "[defaults]", "[hosts]", "[[hosts]]"),
        *("[[deployment]]", "[deployment.secrets.X]", "[[hosts.x]]", "[hosts.name]", "[x]"),
    ]
)


@st.composite
def mutations(draw):
    """A valid inventory to which something was done, once or a few times."""
    lines = list(LINES)
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(lines) - 1))
        match draw(st.sampled_from(["drop", "repeat", "value", "pair", "header", "swap", "cut"])):
            case "drop" if len(lines) > 1:
                del lines[at]
            case "repeat":
                lines.insert(at, lines[at])
            case "value":
                key, equals, _ = lines[at].partition(" = ")
                lines[at] = f"{key}{equals}{draw(VALUES)}"
            case "pair":
                lines.insert(at, f"{draw(KEYS)} = {draw(VALUES)}")
            case "header":
                lines.insert(at, draw(HEADERS))
            case "swap":
                other = draw(st.integers(0, len(lines) - 1))
                lines[at], lines[other] = lines[other], lines[at]
            case "cut":
                position = draw(st.integers(0, len(lines[at])))
                lines[at] = lines[at][:position] + draw(st.text(max_size=3)) + lines[at][position:]
    return "\n".join(lines).encode("utf-8", "surrogatepass")


def check(data: bytes) -> None:
    if problems(data):  # checks the form of each line
        return
    inventory = read(data, FILE)
    with contextlib.suppress(InventoryError):  # a name may be that of another host's address
        check_model(resolve(inventory, lambda host: f"{host.name}.example"))


def check_model(inventory: Inventory) -> None:
    """What the rest of ctl relies on."""
    assert inventory.hosts
    addresses = [process.address for process in inventory.processes]
    assert len(addresses) == len(set(addresses)) == sum(each.processes for each in inventory.hosts)
    assert all(1 <= address.port <= 65535 for address in addresses)
    assert len({address.is_loopback for address in addresses}) == 1
    assert len({host.name for host in inventory.hosts}) == len(inventory.hosts)
    assert not inventory.deployment.env.keys() & inventory.deployment.secrets.keys()


def test_the_valid_one_is_valid():
    assert not problems(VALID)
    check(VALID.encode())


@given(st.binary() | st.text().map(str.encode))
def test_arbitrary_text(data):
    check(data)


@given(st.text(st.sampled_from("[]{}=.,#\"'\\\n ahostnme01"), max_size=60))
def test_arbitrary_text_that_is_nearly_toml(text):
    check(text.encode())


@given(mutations())
def test_mutated_inventories(data):
    check(data)


TOML_VALUES = st.recursive(
    st.sampled_from(["1", "'x'", "true", "1.5", "1979-05-27"]),
    lambda inner: (
        st.lists(inner, max_size=3).map(lambda each: f"[{', '.join(each)}]")
        | st.lists(inner, max_size=3).map(
            lambda each: f"{{{', '.join(f'k{i} = {value}' for i, value in enumerate(each))}}}"
        )
    ),
    max_leaves=6,
)


@given(st.integers(0, len(LINES) - 1), TOML_VALUES)
def test_any_value_at_any_key(line, value):
    key, equals, _ = LINES[line].partition(" = ")
    check("\n".join([*LINES[:line], f"{key}{equals}{value}", *LINES[line + 1 :]]).encode())
