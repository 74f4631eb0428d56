"""`ctl init`: what it writes, and when it does not."""

import os
import re
import stat
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from ctl.cli.init import init
from ctl.errors import CannotWriteError, CtlError, UsageError
from ctl.inventory import load, resolve
from ctl.runtimes import find_runtime, runtime_options


@pytest.fixture
def folder(tmp_path: Path, monkeypatch) -> Path:
    folder = tmp_path / "My Flights"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


def run(*words: str) -> str:
    """Run the command; what it prints on stderr, as it prints nothing else."""
    app = typer.Typer()
    app.command()(init)
    result = CliRunner().invoke(app, words)
    if isinstance(result.exception, CtlError):
        raise result.exception
    assert result.exit_code == 0, result.output
    assert not result.stdout
    return result.stderr


def test_an_inventory_to_begin_with(folder):
    assert run() == (
        "Wrote inventory.toml.  "
        "Next: put in your hosts and their addresses, then ctl check inventory.toml\n"
    )
    assert (
        (folder / "inventory.toml").read_text()
        == """\
# The inventory: the deployment, and the hosts that run it.
# Commented keys show their default, or an example where there is none.

[deployment]
name = "my-flights"               # names it in every command and on every host
# workers = 1                     # worker threads per process
# env = { LOG_LEVEL = "info" }    # environment of every process

[defaults]                        # any key of a host, for the hosts that do not have it
# user = "deploy"                 # login on the hosts
# python = "python3"              # its minor version has to be the same on all hosts
# processes = 1                   # on each host
# mesh_port = 9000                # of the first process of a host; the others count up from it

[[hosts]]                         # their order is that of the process ids
name = "alpha"
ssh = "alpha.example"             # what SSH dials; ~/.ssh/config applies
address = "192.0.2.10"            # what the other hosts dial; default: what ssh resolves to

[[hosts]]                         # their order is that of the process ids
name = "beta"
ssh = "beta.example"              # what SSH dials; ~/.ssh/config applies
address = "192.0.2.11"            # what the other hosts dial; default: what ssh resolves to
"""
    )
    inventory = load(Path("inventory.toml"))
    assert inventory.deployment.name == "my-flights"
    assert [str(each.address) for each in inventory.processes] == [
        "192.0.2.10:9000",
        "192.0.2.11:9000",
    ]


def uncomment(file: Path) -> None:
    """Have all count that is commented, but for what the file says of itself."""
    head, blank, rest = file.read_text().partition("\n\n")
    file.write_text(head + blank + re.sub(r"^# ", "", rest, flags=re.MULTILINE))


def test_what_is_commented_loads_too(folder):
    run("--host", "a.example")
    file = folder / "inventory.toml"
    uncomment(file)
    inventory = load(file)
    assert inventory.deployment.env == {"LOG_LEVEL": "info"}
    assert inventory.hosts[0].user == "deploy"
    assert inventory.hosts[0].address == "192.0.2.10"


@pytest.mark.parametrize("runtime", ["engine", "bytewax", "pathway", "command"])
def test_what_is_commented_for_a_runtime_is_taken_by_it(folder, runtime):
    run("--runtime", runtime)
    file = folder / "inventory.toml"
    uncomment(file)
    inventory = load(file, runtime_options())
    assert inventory.deployment.runtime == runtime
    assert inventory.hosts
    find_runtime(runtime).refuse(inventory)


@pytest.mark.parametrize(
    ("runtime", "hosts"),
    # Pathway runs on several hosts only with a licence key, which is among what is commented.
    [
        *[(runtime, "ab") for runtime in ("engine", "bytewax", "command")],
        *[(runtime, "") for runtime in ("engine", "bytewax", "pathway", "command")],
        ("pathway", "a"),
    ],
)
def test_an_inventory_for_a_runtime(folder, runtime, hosts):
    run("--runtime", runtime, *(word for host in hosts for word in ("--host", host)))
    read = load(folder / "inventory.toml", runtime_options())
    inventory = resolve(read, lambda host: f"{host.name}.example")
    assert inventory.deployment.runtime == runtime
    assert not hosts or [host.name for host in inventory.hosts] == list(hosts)
    find_runtime(runtime).refuse(inventory)


def test_a_runtime_that_there_is_not(folder):
    with pytest.raises(UsageError) as raised:
        run("--runtime", "roses")
    assert str(raised.value) == (
        "there is no runtime 'roses'; there are engine, bytewax, pathway, command"
    )
    assert not list(folder.iterdir())


def test_hosts_of_the_command_line(folder):
    words = ("--name", "flights", "--host", "deploy@a.example", "--host", "deploy@10.0.0.2")
    assert run("fleet.toml", *words) == "Wrote fleet.toml.  Next: ctl check fleet.toml\n"
    inventory = load(Path("fleet.toml"))
    assert inventory.deployment.name == "flights"
    assert [(each.name, each.ssh, each.user, each.address) for each in inventory.hosts] == [
        ("a", "a.example", "deploy", None),
        ("10-0-0-2", "10.0.0.2", "deploy", None),
    ]
    assert Path("fleet.toml").read_text().count('"deploy"') == 1


@pytest.mark.parametrize(
    ("hosts", "names"),
    [
        (["a.x", "a.y", "b.x"], ["a-x", "a-y", "b"]),
        (["Alpha", "root@[2001:db8::1]", "größe"], ["alpha", "2001-db8-1", "gr-e"]),
        (["ü", "ä", "a_b", "a-b.c"], ["host-0", "host-1", "a_b", "a-b"]),
        (["a.b", "a-b", "a"], ["a-b", "host-1", "a"]),
        (["host-1", "ü", "host-2"], ["host-1", "host-2", "host-3"]),
        ([f"{'x' * 70}.a", f"{'x' * 70}.b"], ["x" * 63, "host-1"]),
        (['a"b', "dom\\joe@a'b"], ["a-b", "host-1"]),
    ],
)
def test_every_host_gets_a_name_of_its_own(folder, hosts, names):
    run(*(word for host in hosts for word in ("--host", host)))
    inventory = load(Path("inventory.toml"))
    assert [host.name for host in inventory.hosts] == names
    for host, given in zip(inventory.hosts, hosts, strict=True):
        user, _, ssh = given.rpartition("@")
        assert (host.user or "", host.ssh) == (user, ssh.strip("[]"))


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--host", "a b"], "'a b' cannot be used; write a host name or an alias of ssh_config"),
        (["--host", "-oProxyCommand=x"], "write a host name"),
        (["--host", "a:22"], "'a:22' cannot be used; write 'a', and the port as ssh_port = 22"),
        (["--host", "@a"], "'' cannot be used"),
        (["--host", "a@"], "'' cannot be used"),
        (["--host", "a", "--host", "b@a"], "the host 'a' is there twice"),
        (["--host", "a\x1b"], "'a\\x1b' cannot be used"),
        (["--name", "Flights"], "'Flights' cannot be used; write up to 63 of a-z"),
    ],
)
def test_a_name_or_host_that_cannot_be_one(folder, words, expected):
    with pytest.raises(UsageError) as raised:
        run(*words)
    assert expected in str(raised.value)
    assert not list(folder.iterdir())


def test_a_file_that_is_there_is_kept(folder):
    file = folder / "inventory.toml"
    file.write_text("mine")
    with pytest.raises(CannotWriteError) as raised:
        run()
    assert raised.value.exit_code == 73
    assert str(raised.value) == (
        "inventory.toml is there already; name another file, or replace it with --force"
    )
    assert file.read_text() == "mine"
    run("--force")
    assert load(file).hosts
    assert list(folder.iterdir()) == [file]


def test_a_dangling_link_is_a_file_too(folder):
    (folder / "inventory.toml").symlink_to("nowhere")
    with pytest.raises(CannotWriteError):
        run()


def test_others_may_read_it(folder):
    before = os.umask(0o077)
    try:
        run()
    finally:
        os.umask(before)
    assert stat.S_IMODE((folder / "inventory.toml").stat().st_mode) == 0o644


@pytest.mark.parametrize("path", ["none/inventory.toml", "file/inventory.toml"])
def test_a_folder_that_cannot_be_written_to(folder, path):
    (folder / "file").touch()
    with pytest.raises(CannotWriteError) as raised:
        run(path)
    assert str(raised.value).startswith(f"{path} cannot be written: ")


def test_the_folder_of_the_file_gives_the_name(folder):
    (folder / "Ünî").mkdir()
    (folder / "--").mkdir()
    run("Ünî/inventory.toml")
    run("./--/inventory.toml")
    assert load(Path("Ünî/inventory.toml")).deployment.name == "n"
    assert load(Path("--/inventory.toml")).deployment.name == "flow"
