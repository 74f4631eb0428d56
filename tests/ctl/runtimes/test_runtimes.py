"""What each runtime makes of an inventory."""

import re
from pathlib import Path
from typing import Any

import pytest

from ctl.errors import InventoryError, UsageError
from ctl.inventory import Inventory, read
from ctl.layers import Entry, Layer
from ctl.layers.code import CodeLayer
from ctl.plan import Plan, make_plan
from ctl.runtimes import find_runtime, runtime_options

LAUNCH = "20261124T183958-abcdef"
TWO = (
    '[[hosts]]\nname = "alpha"\naddress = "10.0.0.1"\nprocesses = 2\n'
    '[[hosts]]\nname = "beta"\naddress = "10.0.0.2"\n'
)
ONE = '[[hosts]]\nname = "alpha"\naddress = "10.0.0.1"\nprocesses = 2\n'


def inventory(runtime: str, lines: str = "", hosts: str = TWO) -> Inventory:
    text = f'[deployment]\nname = "flights"\nruntime = "{runtime}"\n{lines}\n{hosts}'
    return read(text.encode(), Path("inventory.toml"), runtime_options())


def plan(runtime: str, lines: str = "", hosts: str = TWO, flow: str = "flow.py") -> Plan:
    found = inventory(runtime, lines, hosts)
    code = Layer.of("code", [Entry.of("flow.py", b"")])
    agent = Layer.of("agent", [Entry.of("agent.py", b"")])
    packages = Layer.of("requirements", [Entry.of("rose.py", b"")])
    wanted = {host.name: packages for host in found.hosts}
    return make_plan(
        found, find_runtime(runtime), CodeLayer(code, flow), {"agent": agent}, requirements=wanted
    )


def processes(made: Plan) -> list[dict[str, Any]]:
    hosts = made.inventory.hosts
    return [each for host in hosts for each in made.launch(host, LAUNCH)["processes"]]


def words(spec: dict[str, Any]) -> list[Any]:
    """The command, with the end of each path for the path."""
    return [
        each if isinstance(each, str) else (each.get("place") or ["python"])[-1]
        for each in spec["argv"]
    ]


def refused(runtime: str, lines: str = "", hosts: str = TWO) -> str:
    found = inventory(runtime, lines, hosts)
    with pytest.raises(InventoryError) as caught:
        find_runtime(runtime).refuse(found)
    return str(caught.value)


def test_each_host_gets_the_layers_of_its_own_requirements():
    made = plan("bytewax")
    alpha, beta = made.inventory.hosts
    assert {each.kind for each in made.layers_of(alpha)} == {"agent", "code", "requirements"}
    digest = made.requirements["beta"].digest
    assert made.manifest["layers"]["requirements of beta"] == digest
    [spec] = made.launch(beta, LAUNCH)["processes"]
    assert {"place": ["layers", digest], "then": ""} in spec["env"]["PYTHONPATH"]["join"]


def test_a_relayed_mesh_is_on_loopback_alike_on_all_hosts():
    made = plan("bytewax")
    addresses = [str(each) for each in made.addresses]
    assert all(each.startswith("127.") for each in addresses)
    assert len({each.rpartition(":")[0] for each in addresses}) == 3
    assert [each.rpartition(":")[2] for each in addresses] == ["10000", "10001", "10002"]
    assert made.encrypted
    first, second, third = processes(made)
    assert words(first)[-3] == ";".join(addresses)
    assert [each["id"] for each in third["relay"]["peers"]] == [0, 1]
    assert [each["id"] for each in second["relay"]["peers"]] == [2]
    assert third["relay"]["mesh"] == third["listens"] == ["10.0.0.2", 9000]
    assert third["relay"]["peers"][1]["address"] == ["10.0.0.1", 9001]


@pytest.mark.parametrize(
    ("runtime", "lines", "guarded"),
    [("engine", "", True), ("bytewax", "", True), ("bytewax", 'mesh = "direct"', False)],
)
def test_a_mesh_port_is_open_to_strangers_if_somebody_guards_it(runtime, lines, guarded):
    assert {each["guarded"] for each in processes(plan(runtime, lines))} == {guarded}


@pytest.mark.parametrize(("lines", "hosts"), [('mesh = "direct"', TWO), ("", ONE)])
def test_a_direct_mesh_and_one_host_have_no_relays(lines, hosts):
    made = plan("bytewax", lines, hosts)
    assert not made.encrypted
    assert {each["relay"] for each in processes(made)} == {None}
    assert made.addresses[0] == ("10.0.0.1", 9000)


def test_a_direct_mesh_and_the_api_of_bytewax_warn():
    runtime = find_runtime("bytewax")
    assert not runtime.warnings(inventory("bytewax"))
    [mesh] = runtime.warnings(inventory("bytewax", 'mesh = "direct"'))
    assert "whoever reaches a mesh port" in mesh
    [api] = runtime.warnings(inventory("bytewax", "api = true"))
    assert "without a password" in api


def test_the_api_of_bytewax_has_a_port_for_each_process_of_a_host():
    commands = [each["argv"] for each in processes(plan("bytewax", "api = true\napi_port = 4000"))]
    assert [argv[argv.index("--api") + 1] for argv in commands] == ["4000", "4001", "4000"]
    assert "--api" not in processes(plan("bytewax"))[0]["argv"]


def test_bytewax_with_recovery():
    lines = 'workers = 3\n[deployment.recovery]\nstore = "~/store"\ninterval = 5'
    made = plan("bytewax", lines, flow='flow.py:make("a;b", x=1)')
    first = processes(made)[0]
    assert first["argv"][5:7] == ["--hosts", "alpha;alpha;beta"]
    launch = {"place": ["deployments", "flights", "launches", LAUNCH], "then": ""}
    assert first["argv"][7:9] == ["--relayed", launch]
    assert first["argv"][9] == {
        "place": ["layers", made.digests.code, "flow.py"],
        "then": ':make("a;b", x=1)',
    }
    rest = first["argv"][-8:]
    assert rest == ["-w", "3", "-r", {"home": "~/store"}, "-b", "0", "-s", "5"]
    assert first["restart"]["signals"]
    alpha, beta = made.inventory.hosts
    [prepared] = made.launch(alpha, LAUNCH)["prepare"]
    assert prepared["argv"][4:-1] == ["3", "0,1"]
    [prepared] = made.launch(beta, LAUNCH)["prepare"]
    assert prepared["argv"][-2] == "2"


@pytest.mark.parametrize(
    ("runtime", "lines", "host"),
    [
        ("pathway", "", "127.0.0.1"),
        ("bytewax", "", "10.0.0.1"),
        ("bytewax", '[defaults]\nbind = "0.0.0.0"', "0.0.0.0"),
    ],
)
def test_where_processes_listen(runtime, lines, host):
    found = [each["listens"] for each in processes(plan(runtime, lines, ONE))]
    assert found == [[host, 9000], [host, 9001]]


def test_our_engine_does_not_resume_yet():
    problem = refused("engine", '[deployment.recovery]\nstore = "/x"')
    assert "stores nothing yet that it could resume from" in problem


@pytest.mark.parametrize(
    ("lines", "problem"),
    [
        ('[deployment.recovery]\nstore = "s3://x"', "in a folder of each host"),
        ('[deployment.recovery]\nstore = "/x"\ninterval = 0.5', "takes whole seconds"),
        ("snapshot_interval = 1.5", "`snapshot_interval` is 1.5, and Bytewax takes whole seconds"),
        ('snapshot_interval = 1\n[deployment.recovery]\nstore = "/x"', "there are two intervals"),
        ("backup_interval = 1", "nothing to keep without"),
        ('env = {BYTEWAX_DATAFLOW_API_ENABLED = "1"}', "is for `api` to say"),
        ('mesh = "direct"\n[defaults]\nbind = "0.0.0.0"', "on the `address` of alpha only"),
    ],
)
def test_what_bytewax_cannot_do(lines, problem):
    assert problem in refused("bytewax", lines)


def test_placeholders_and_variables_of_a_command():
    words_ = (
        '["python", "flow.py", "{process_id}/{processes}", "{{x}}", "{local_rank}", "a b\\n\'"]'
    )
    made = plan("command", f'command = {words_}\nmesh = "direct"\nready = "tcp"')
    _, second, third = processes(made)
    assert words(second) == ["python", "flow.py", "1/3", "{x}", "1", "a b\n'"]
    assert second["ready"] == {"kind": "tcp", "address": ["10.0.0.1", 9001]}
    env = third["env"]
    assert (env["RANK"], env["WORLD_SIZE"], env["LOCAL_RANK"]) == ("2", "3", "0")
    assert (env["LOCAL_WORLD_SIZE"], env["MASTER_ADDR"], env["MASTER_PORT"]) == (
        *("1", "10.0.0.1"),
        "9000",
    )
    assert env["HOSTMESH_ADDRESSES"] == "10.0.0.1:9000;10.0.0.1:9001;10.0.0.2:9000"
    assert third["restart"] is None


def test_a_command_that_is_started_again():
    lines = 'command = ["true"]\nrestart = "on-failure"\nready = { http = "http://x:{port}/" }'
    first = processes(plan("command", lines))[0]
    assert first["restart"]["signals"]
    assert 1 in first["restart"]["codes"]
    assert 0 not in first["restart"]["codes"]
    assert first["ready"]["url"] == "http://x:10000/"


@pytest.mark.parametrize(
    ("lines", "problem"),
    [
        ("", 'runtime = "command" needs the key `command`'),
        ('command = ["true", "{rank}"]', "{rank} in '{rank}' stands for nothing"),
        ('command = ["true", "{"]', "{ in '{' stands for nothing"),
        ('command = ["true"]\n[deployment.recovery]\nstore = "/x"', "knows nothing of recovery"),
    ],
)
def test_what_a_command_cannot_be(lines, problem):
    assert problem in refused("command", lines)


def test_pathway_on_one_host_needs_no_licence():
    made = plan("pathway", "workers = 2", ONE)
    find_runtime("pathway").refuse(made.inventory)
    _, second = processes(made)
    wanted = {"THREADS": "2", "PROCESSES": "2", "FIRST_PORT": "9000", "PROCESS_ID": "1"}
    assert {f"PATHWAY_{key}": value for key, value in wanted.items()}.items() <= (
        second["env"].items()
    )
    assert second["ready"]["addresses"][1] == ["127.0.0.1", 9001]


def test_pathway_on_several_hosts_is_started_by_its_own_command():
    lines = '[deployment.secrets]\nPATHWAY_LICENSE_KEY = { env = "KEY" }'
    made = plan("pathway", lines)
    find_runtime("pathway").refuse(made.inventory)
    assert words(processes(made)[2])[2:5] == ["-m", "pathway", "spawn"]


@pytest.mark.parametrize(
    ("lines", "problem"),
    [
        ("", "only with a licence key of yours"),
        ('env = { PATHWAY_LICENSE_KEY = "x" }', "a licence key is a secret"),
        ('[deployment.recovery]\nstore = "/x"', "persistence is set in the program itself"),
    ],
)
def test_what_pathway_cannot_do(lines, problem):
    assert problem in refused("pathway", lines)


@pytest.mark.parametrize(
    ("runtime", "flow", "problem"),
    [
        ("pathway", "flow.py:build('x')", "runs the file of a program"),
        ("pathway", "flow", "runs the file of a program"),
        ("command", "flow.py:build", "is something in one"),
        ("bytewax", None, 'runtime = "bytewax" runs no dataflow that was built in a notebook'),
        ("pathway", None, "built in a notebook"),
        ("command", None, "built in a notebook"),
    ],
)
def test_a_flow_that_a_runtime_cannot_run(runtime, flow, problem):
    with pytest.raises(UsageError, match=re.escape(problem)):
        find_runtime(runtime).refuse_flow(flow)


@pytest.mark.parametrize(
    ("runtime", "flow"),
    [
        ("engine", None),
        ("engine", "flow:build('a:b')"),
        ("bytewax", "flow.py:build('x')"),
        ("pathway", "a folder/flow.py"),
        ("command", "a:folder/flow.py"),
        ("command", "module"),
    ],
)
def test_a_flow_that_a_runtime_can_run(runtime, flow):
    find_runtime(runtime).refuse_flow(flow)
