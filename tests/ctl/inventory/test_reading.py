"""What an inventory may say, and what is said about one that is wrong."""

from pathlib import Path

import pytest

from ctl.errors import InventoryError, NotFoundError
from ctl.inventory import DeploymentSettings, Host, Recovery, SecretSource, load, read
from tests.ctl.inventory.reading import DEPLOYMENT, FILE, HOST, inventory, problems


def test_the_smallest_inventory_has_the_defaults():
    read_ = inventory('[deployment]\nname = "flights"\n[[hosts]]\nname = "alpha"\n')
    assert read_.path == FILE
    assert read_.deployment == DeploymentSettings("flights", "engine", 1)
    assert read_.hosts == (
        Host(
            name="alpha",
            transport="ssh",
            ssh="alpha",
            ssh_port=None,
            user=None,
            address=None,
            bind=None,
            mesh_port=9000,
            processes=1,
            python="python3",
            workdir=None,
            root="~/.hostmesh",
        ),
    )


def test_every_key():
    read_ = inventory("""
[deployment]
name = "flights"
runtime = "engine"
workers = 3
requirements = ["numpy>=2", "polars"]
include = ["data/*.csv"]
env = { LOG_LEVEL = "info", EMPTY = "" }
heartbeat_timeout = 5
assemble_timeout = 60.5
epoch_interval = 0
log_level = "DEBUG"
[deployment.recovery]
store = "s3://bucket/flights"
interval = 2.5
[deployment.secrets]
S3_SECRET = { env = "MY_SECRET" }
TOKEN = { file = "tokens/api" }
[defaults]
user = "deploy"
mesh_port = 7000
[[hosts]]
name = "alpha"
transport = "local"
ssh = "alpha.example"
ssh_port = 2222
user = "root"
address = "10.0.0.1"
bind = "0.0.0.0"
mesh_port = 9100
processes = 2
python = "/opt/python 3/bin/python"
workdir = "/srv/$(flights)"
root = "~deploy/mesh"
[[hosts]]
name = "beta"
""")
    assert read_.deployment == DeploymentSettings(
        name="flights",
        workers=3,
        requirements=("numpy>=2", "polars"),
        include=("data/*.csv",),
        env={"LOG_LEVEL": "info", "EMPTY": ""},
        secrets={
            "S3_SECRET": SecretSource(env="MY_SECRET"),
            "TOKEN": SecretSource(file=Path.cwd() / "tokens" / "api"),
        },
        recovery=Recovery("s3://bucket/flights", 2.5),
        options={
            "heartbeat_timeout": 5.0,
            "assemble_timeout": 60.5,
            "epoch_interval": 0.0,
            "log_level": "DEBUG",
        },
    )
    alpha, beta = read_.hosts
    assert alpha == Host(
        "alpha",
        "local",
        "alpha.example",
        2222,
        "root",
        "10.0.0.1",
        "0.0.0.0",
        9100,
        2,
        "/opt/python 3/bin/python",
        "/srv/$(flights)",
        "~deploy/mesh",
    )
    assert beta == Host("beta", ssh="beta", user="deploy", mesh_port=7000)


def test_the_ordered_address_list():
    read_ = inventory(f"""{DEPLOYMENT}
[[hosts]]
name = "beta"
address = "10.0.0.2"
mesh_port = 9001
processes = 2
[[hosts]]
name = "alpha"
address = "[2001:DB8:0::1]"
""")
    assert [(each.id, each.host.name, str(each.address)) for each in read_.processes] == [
        (0, "beta", "10.0.0.2:9001"),
        (1, "beta", "10.0.0.2:9002"),
        (2, "alpha", "[2001:db8::1]:9000"),
    ]


def test_a_place_in_the_file():
    read_ = inventory(DEPLOYMENT + HOST + "[deployment.recovery]\nstore = '/mnt'\n")
    assert read_.where("deployment", "recovery") == "inventory.toml:6"
    assert read_.where("hosts", 0, "address") == "inventory.toml:5"


def test_relative_paths_are_relative_to_the_folder_of_the_inventory(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", "/home/me")
    folder = tmp_path / "fleet"
    folder.mkdir()
    text = (
        '[deployment]\nname = "flights"\nrequirements = "requirements.txt"\n'
        'secrets = { A = { file = "a" }, B = { file = "~/b" }, C = { file = "/c" } }\n'
    )
    (folder / "inventory.toml").write_text(text + HOST)
    read_ = load(Path("fleet/inventory.toml"))
    assert read_.path == Path("fleet/inventory.toml")
    assert read_.deployment.requirements == folder / "requirements.txt"
    files = [source.file for source in read_.deployment.secrets.values()]
    assert files == [folder / "a", Path("/home/me/b"), Path("/c")]


@pytest.mark.parametrize("written", ["2001:db8::1", "[2001:db8::1]", "2001:DB8:0:0::1"])
def test_an_ipv6_address_has_one_spelling(written):
    read_ = inventory(f'{DEPLOYMENT}[[hosts]]\nname = "a"\naddress = "{written}"\n')
    assert read_.hosts[0].address == "2001:db8::1"


def test_a_byte_order_mark_is_no_part_of_the_text():
    assert read(b"\xef\xbb\xbf" + (DEPLOYMENT + HOST).encode(), FILE).hosts


def test_hosts_that_are_all_this_machine_need_no_address():
    local = '[[hosts]]\nname = "{}"\ntransport = "local"\nmesh_port = {}\n'
    read_ = inventory(DEPLOYMENT + local.format("a", 9000) + local.format("b", 9001))
    assert [host.address for host in read_.hosts] == ["127.0.0.1", "127.0.0.1"]
    assert problems(DEPLOYMENT + local.format("a", 9000) + HOST) == [
        "3: hosts[0] (a): this machine needs an `address`, as there are other hosts; "
        "write the one that they dial"
    ]


def test_hosts_that_are_all_on_loopback_are_fine():
    text = DEPLOYMENT + HOST.replace("10.0.0.1", "127.0.0.2") + HOST.replace("alpha", "beta")
    assert not problems(text.replace("10.0.0.1", "127.0.0.3"))


def test_runtimes_say_which_further_keys_they_take():
    runtimes = {"engine": {}, "command": {"command": str, "ready": str}}
    text = '[deployment]\nname = "flights"\nruntime = "command"\ncommand = "run it"\n' + HOST
    read_ = read(text.encode(), FILE, runtimes)
    assert read_.deployment.options == {"command": "run it"}
    with pytest.raises(InventoryError) as raised:
        read(text.replace('"command"', '"bytewax"', 1).encode(), FILE, runtimes)
    # Whether its keys are right cannot be said.
    assert str(raised.value) == (
        'inventory.toml:3: deployment: `runtime` is \'bytewax\'; write "engine" or "command"'
    )


def test_all_problems_are_listed_in_the_order_of_their_lines():
    assert problems("""
[[hosts]]
name = "alpha"
processes = 0
[defaults]
usr = "x"
[deployment]
name = "flights"
workers = true
[[hosts]]
name = "beta"
adress = "x"
""") == [
        "4: hosts[0] (alpha): `processes` is 0; write a whole number from 1, such as 2",
        "6: defaults: unknown key `usr`; did you mean `user`?",
        "9: deployment: `workers` is true; write a whole number from 1, such as 2",
        "12: hosts[1] (beta): unknown key `adress`; did you mean `address`?",
    ]


DEPLOYMENT_RULES = [
    ('name = ""', "`name` is ''; write up to 63 of a-z, 0-9, _ and -"),
    ('name = "Flights A"', "`name` is 'Flights A'; write up to 63 of a-z, 0-9, _ and -, a letter "),
    ('name = "../x"', "as in 'x'"),
    (f'name = "{"x" * 64}"', "write up to 63"),
    ("name = 3", "`name` is 3; write text, in quotes"),
    ('name = "a\\n"', "`name` is 'a\\n'; "),
    ("", "has no key `name`; add it"),
    ('runtime = "spark"', "`runtime` is 'spark'; write \"engine\""),
    ("runtime = 3", '`runtime` is 3; write "engine"'),
    ("workers = 0", "`workers` is 0; write a whole number from 1"),
    ("workers = 1.0", "`workers` is 1.0; "),
    ("workers = '2'", "`workers` is '2'; "),
    ("workers = -1", "`workers` is -1; "),
    ("workers = [1]", "`workers` is an array; "),
    ("workers = {}", "`workers` is a table; "),
    ("workers = 07:32:00", "`workers` is a date or a time; "),
    (f"workers = -{'9' * 100}", "`workers` is a very large number; "),
    ("requirements = 3", "`requirements` is 3; write an array of requirements, or the name"),
    ('requirements = ""', "`requirements` is ''; write the path of a file"),
    ('requirements = "~nobody-at-all/x"', "is in a home directory that there is not"),
    ('requirements = ["a\\nb"]', "deployment.requirements: element 0 is 'a\\nb'; write it on one"),
    ('include = "a"', "`include` is 'a'; write an array"),
    ('include = ["a", "", 3]', "deployment.include: element 1 is ''; "),
    ('env = "a"', "`env` is no table; write it as [deployment.env]"),
    ("env = { A = 3 }", "deployment.env: `A` is 3; write text, since that is what a variable"),
    ("env = { A = true }", "deployment.env: `A` is true; write text, since that is what a"),
    ('env = { A = "\\u0000" }', "leave out the NUL character"),
    ('env = { "A-B" = "x" }', "`A-B` is no name of a variable; name it with letters"),
    ('env = { "" = "x" }', "`''` is no name of a variable"),
    ('env = { "A\\n" = "x" }', "`'A\\n'` is no name of a variable"),
    ('env = { ENGINE_SECRET = "x" }', "`ENGINE_SECRET` is reserved; rename it"),
    ('secrets = { HOSTMESH_X = { env = "X" } }', "deployment.secrets: `HOSTMESH_X` is reserved"),
    ("secrets = [1]", "`secrets` is no table; write it as [deployment.secrets]"),
    ("secrets = { A = {} }", "deployment.secrets: `A` has neither `env` nor `file`; write A = {"),
    ('secrets = { A = { env = "A", file = "a" } }', "`A` has both `env` and `file`"),
    ('secrets = { A = { env = "a b" } }', "deployment.secrets.A: `env` is wrong; write the name"),
    ("secrets = { A = { file = 3 } }", "deployment.secrets.A: `file` is wrong; write text"),
    ('secrets = { A = { env = "A", x = 1 } }', "unknown key `x`; the keys here are env, file"),
    ("recovery = 3", "`recovery` is 3; write [deployment.recovery]"),
    ("recovery = { interval = 1 }", "deployment.recovery: has no key `store`; add it"),
    ('recovery = { store = "" }', "deployment.recovery: `store` is ''"),
    ('recovery = { store = "/m", interval = 0 }', "`interval` is 0; write seconds, a number above"),
    ('recovery = { store = "/m", interval = true }', "`interval` is true; "),
    ("interval = 3", "unknown key `interval`; it belongs in [deployment.recovery]"),
    ("user = 'x'", "unknown key `user`; it belongs in [[hosts]] or [defaults]"),
    ("wrokers = 3", "unknown key `wrokers`; did you mean `workers`?"),
    ('"a\\nb" = 3', "unknown key `'a\\nb'`; the keys here are name, "),
    ("heartbeat_timeout = 0", "`heartbeat_timeout` is 0; write seconds, a number above 0"),
    ("heartbeat_timeout = nan", "`heartbeat_timeout` is nan; "),
    ("assemble_timeout = inf", "`assemble_timeout` is inf; "),
    (f"assemble_timeout = 0x{'f' * 9000}", "`assemble_timeout` is a very large number; "),
    ("epoch_interval = -1", "`epoch_interval` is -1; write seconds, 0 or a number from 0.0001"),
    ("epoch_interval = 0.00001", "`epoch_interval` is 1e-05; "),
    ("log_level = 3", "`log_level` is 3; write text, in quotes"),
]


@pytest.mark.parametrize(("line", "expected"), DEPLOYMENT_RULES)
def test_rules_of_the_deployment(line, expected):
    name = "" if line.startswith("name") or not line else 'name = "flights"'
    found = problems(f"[deployment]\n{name}\n{line}\n{HOST}")
    assert found
    assert expected in found[0]
    assert found[0].startswith("3: deployment" if line else "1: deployment")


HOST_RULES = [
    ('name = "Beta"', "`name` is 'Beta'; write up to 63 of a-z, 0-9, _ and -, a letter or digit"),
    ('transport = "http"', '`transport` is \'http\'; write "ssh" or "local"'),
    ('ssh = ""', "`ssh` is ''; write what it is, or leave it out"),
    ('ssh = "-oProxyCommand=x"', "`ssh` is '-oProxyCommand=x'; write a host name or an alias"),
    ('ssh = "a b"', "`ssh` is 'a b'; "),
    ('ssh = "deploy@a"', "`ssh` is 'deploy@a'; write 'a', and user = 'deploy' beside it"),
    ('ssh = "a:2222"', "`ssh` is 'a:2222'; write 'a', and the port as ssh_port = 2222"),
    ('ssh = "[::1]:2222"', "write '[::1]', and the port as ssh_port = 2222"),
    ('ssh = "a\\u001b[1m"', "`ssh` is 'a\\x1b[1m'; write it on one line, in visible characters"),
    ("ssh_port = 0", "`ssh_port` is 0; write a whole number from 1 to 65535"),
    ("ssh_port = '22'", "`ssh_port` is '22'; "),
    ("ssh_port = true", "`ssh_port` is true; "),
    ('user = "-l"', "`user` is '-l'; write the name of a user"),
    ('user = ""', "`user` is ''; "),
    ('bind = "1.2.3.400"', "`bind` is '1.2.3.400'; write an IP address or a host name"),
    ('bind = "1.2.3.4:80"', "write '1.2.3.4', and the port as mesh_port = 80"),
    ('bind = "[1.2.3.4]"', "`bind` is '[1.2.3.4]'; "),
    ("mesh_port = 65536", "`mesh_port` is 65536; write a whole number from 1 to 65535"),
    ("mesh_port = 9000.0", "`mesh_port` is 9000.0; "),
    ("processes = 0", "`processes` is 0; write a whole number from 1"),
    ("processes = true", "`processes` is true; "),
    ("processes = 56537", "56537 processes do not fit above `mesh_port` 9000; lower one"),
    (f"processes = 0x{'f' * 9000}", "a very large number processes do not fit"),
    ('python = " "', "`python` is ' '; "),
    ('python = "python3\\nrm"', "`python` is 'python3\\nrm'; write it on one line"),
    ('root = "/a:b"', "leave out the colon"),
    ('workdir = "srv"', "`workdir` is 'srv'; write an absolute path, or one that starts with ~/"),
    ('workdir = "/a\\u0000"', "leave out the NUL character"),
    ('root = ""', "`root` is ''; write an absolute path"),
    ("workers = 2", "unknown key `workers`; it belongs in [deployment]"),
    ("adress = 'x'", "unknown key `adress`; did you mean `address`?"),
]


@pytest.mark.parametrize(("line", "expected"), HOST_RULES)
def test_rules_of_a_host(line, expected):
    name = "" if line.startswith("name") else 'name = "beta"'
    text = f'{DEPLOYMENT}{HOST}\n[[hosts]]\n{name}\naddress = "10.0.0.2"\n{line}\n'
    (found,) = problems(text)
    assert expected in found
    # What says where it is may be the table, if the key has no line of its own.
    assert found.startswith(("10: hosts[1] (", "7: hosts[1] ("))


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("", "`address` is ''; "),
        ("0.0.0.0", "write the address that other hosts dial; this one is for `bind`"),
        ("[::]", "this one is for `bind`"),
        ("10.0.0.1:9000", "write '10.0.0.1', and the port as mesh_port = 9000"),
        ("10.0.0.256", "write an IP address or a host name"),
        ("a;b", "write an IP address or a host name"),
        ("a b", "write an IP address or a host name"),
        ("::g", "write an IP address or a host name"),
    ],
)
def test_an_address_that_nobody_can_dial(written, expected):
    (found,) = problems(f'{DEPLOYMENT}[[hosts]]\nname = "a"\naddress = "{written}"\n')
    assert found.startswith("5: hosts[0] (a): `address` ")
    assert expected in found


def test_rules_of_the_defaults():
    assert problems(f'{DEPLOYMENT}[defaults]\nname = "x"\nprocesses = 0\n{HOST}') == [
        "4: defaults: unknown key `name`; it belongs in [[hosts]]",
        "5: defaults: `processes` is 0; write a whole number from 1, such as 2",
    ]


def test_hosts_with_the_same_name():
    text = DEPLOYMENT + HOST + HOST.replace("0.1", "0.2")
    assert problems(text) == ["7: hosts[1] (alpha): hosts[0] has the same name; rename one of them"]


@pytest.mark.parametrize(
    ("first", "second", "shared"),
    [
        ('"10.0.0.1"', '"10.0.0.1"', "10.0.0.1:9000"),
        ('"10.0.0.1"\nprocesses = 3', '"10.0.0.1"\nmesh_port = 9002', "10.0.0.1:9002"),
        ('"10.0.0.1"\nmesh_port = 9001', '"10.0.0.1"\nprocesses = 9', "10.0.0.1:9001"),
        ('"[::2]"', '"0:0::2"', "[::2]:9000"),
        ('"Alpha.example"', '"alpha.EXAMPLE"', "alpha.example:9000"),
    ],
)
def test_hosts_that_share_an_address_and_port(first, second, shared):
    text = f'{DEPLOYMENT}[[hosts]]\nname = "a"\naddress = {first}\n'
    before = text.count("\n")
    text += f'[[hosts]]\nname = "b"\naddress = {second}\n'
    assert problems(text) == [
        f"{before + 3}: hosts[1] (b): {shared} is taken by a; "
        "give each its own address, or its own `mesh_port`"
    ]


def test_hosts_that_share_an_address_but_no_port():
    text = f'{DEPLOYMENT}[defaults]\naddress = "10.0.0.1"\n[[hosts]]\nname = "a"\nprocesses = 2\n'
    assert not problems(f'{text}[[hosts]]\nname = "b"\nmesh_port = 9002\n')
    assert problems(f'{text}[[hosts]]\nname = "b"\nmesh_port = 9001\n')


@pytest.mark.parametrize("loopback", ["127.0.0.1", "localhost", "LocalHost", "::1", "[::1]"])
def test_loopback_beside_other_addresses(loopback):
    text = DEPLOYMENT + HOST + f'[[hosts]]\nname = "beta"\naddress = "{loopback}"\n'
    (found,) = problems(text)
    assert found.startswith("8: hosts[1] (beta): address ")
    assert "is loopback, which other hosts cannot reach; write the one that they dial" in found


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", ["1: there is no [deployment]; ", "1: there are no hosts; write [[hosts]]"]),
        (f"{DEPLOYMENT}hosts = []", ["3: deployment: unknown key `hosts`", "1: there are no "]),
        (f"hosts = []\n{DEPLOYMENT}", ["1: there are no hosts; write [[hosts]]"]),
        (f"hosts = [3]\n{DEPLOYMENT}", ["1: hosts[0]: is 3; write [[hosts]]"]),
        (f"hosts = 'x'\n{DEPLOYMENT}", ["1: `hosts` is 'x'; write [[hosts]]"]),
        (f"{DEPLOYMENT}[hosts]\nname = 'a'", ["3: `hosts` is a table; write [[hosts]]"]),
        (f"{DEPLOYMENT}[[host]]\nname = 'a'\n{HOST}", ["3: unknown key `host`; did you mean"]),
        (f"deployment = 3\n{HOST}", ["1: `deployment` is 3; write [deployment]"]),
        (f"[[deployment]]\n{HOST}", ["1: `deployment` is an array; write [deployment]"]),
        (f"defaults = 3\n{DEPLOYMENT}{HOST}", ["1: `defaults` is 3; write [defaults]"]),
        (f"name = 'x'\n{DEPLOYMENT}{HOST}", ["1: unknown key `name`; it belongs in [deployment]"]),
        (f"{DEPLOYMENT}[[hosts]]\n", ["3: hosts[0]: has no key `name`; add it"]),
    ],
)
def test_rules_of_the_whole(text, expected):
    found = problems(text)
    assert len(found) == len(expected)
    for line, start in zip(sorted(found), sorted(expected), strict=True):
        assert line.startswith(start)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "[deployment]\nname = flights\n",
            "2: this is not TOML: invalid value at column 8 of 'name = flights'; "
            'put text in quotes, as in name = "flights"',
        ),
        ('[deployment]\nname = "x\n', "2: this is not TOML: illegal character '\\n' at column 10 "),
        ("a = 1\nb = [1,\n\n\n", "2: this is not TOML: invalid value at the end of 'b = [1,'"),
        ("a = 1\na = 2\n", "2: this is not TOML: cannot overwrite a value at column 6 of 'a = 2'"),
        ("[a]\n[a]\n", "2: this is not TOML: cannot declare"),
        ("nonsense\n", "1: this is not TOML: expected '=' after a key"),
        (f"a = 1\nb = {'1' * 5000}", "2: this is not TOML: a number is too long"),
        (f"a = 1\nb = {'[' * 50_000}", "2: this is not TOML: nested too deeply"),
        (b"a = 1\n\nb = '\xff'\n", "3: this is not UTF-8; save the file in UTF-8"),
    ],
)
def test_what_is_not_toml(text, expected):
    (found,) = problems(text)
    assert found.startswith(expected)


@pytest.mark.parametrize(
    "text",
    [
        "[deployment.secrets]\nTOKEN = hunter2\n",
        "[deployment.secrets]\n# why\nTOKEN = 'hunter2'\nTOKEN = 'hunter2'\n",
        "[deployment]\nsecrets = { TOKEN = hunter2 }\n",
        f"{DEPLOYMENT}secrets = {{ TOKEN = 'hunter2' }}\n{HOST}",
        f"{DEPLOYMENT}secrets = {{ TOKEN = {{ env = 'hunter2 !' }} }}\n{HOST}",
        f"{DEPLOYMENT}secrets = {{ TOKEN = {{ value = 'hunter2' }} }}\n{HOST}",
        f"{DEPLOYMENT}secrets = 'hunter2'\n{HOST}",
    ],
)
def test_a_secret_that_was_written_into_the_inventory_is_not_shown(text):
    found = problems(text)
    assert found
    assert "hunter2" not in "".join(found)


def test_there_is_no_such_file(tmp_path):
    for path in (tmp_path / "none.toml", tmp_path, Path("a\0b"), Path(__file__) / "x"):
        with pytest.raises(NotFoundError) as raised:
            load(path)
        assert raised.value.exit_code == 66
        assert raised.value.fix
