import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest

from ctl.inventory import DeploymentSettings, Host, Inventory, SecretSource
from ctl.layers import CodeLayer, Entry, Layer
from ctl.plan import host_to_json, make_plan
from ctl.runtimes import find_runtime

ALPHA = Host("alpha", ssh="alpha.example", address="192.0.2.1", bind="0.0.0.0", processes=2)
BETA = Host("beta", ssh="beta.example", address="2001:db8::2", mesh_port=9100, workdir="/srv/x y")


def layer(kind, text):
    return Layer.of(kind, [Entry.of(f"{kind}.txt", text.encode())])


def settings(**changes):
    secrets = {"TOKEN": SecretSource(env="CTL_TOKEN")}
    return DeploymentSettings("flights", env={"LEVEL": "info"}, secrets=secrets, **changes)


def plan(
    *,
    deployment=None,
    hosts=(ALPHA, BETA),
    flow="flows/fl ow.py:get(1)",
    code="code",
    engine="engine",
    agent="agent",
    included=("data/a.csv",),
    **more,
):
    inventory = Inventory(Path("inventory.toml"), deployment or settings(), hosts)
    others = {"agent": layer("agent", agent), "engine": layer("engine", engine)}
    pushed = CodeLayer(layer("code", code), flow, included)
    return make_plan(inventory, find_runtime("engine"), pushed, others, **more)


def test_a_release_is_named_by_what_it_is_made_of():
    assert plan().release == plan().release
    assert len(plan().release) == 64
    assert json.loads(json.dumps(plan().manifest)) == plan().manifest
    assert plan().manifest["layers"].keys() == {"agent", "engine", "code"}
    assert [each["name"] for each in plan().manifest["hosts"]] == ["alpha", "beta"]


CHANGES: list[dict[str, Any]] = [
    {"flow": "flows/other.py"},
    {"code": "other"},
    {"engine": "other"},
    {"agent": "other"},
    {"insecure": True},
    {"hosts": (BETA, ALPHA)},
    {"hosts": (ALPHA,)},
    {"deployment": dataclasses.replace(settings(), name="other")},
    {"deployment": settings(workers=2)},
    {"deployment": settings(options={"epoch_interval": 5.0})},
    {"deployment": dataclasses.replace(settings(), env={"LEVEL": "debug"})},
    {"deployment": dataclasses.replace(settings(), secrets={})},
    *(
        {"hosts": (dataclasses.replace(ALPHA, **change), BETA)}
        for change in (
            {"name": "gamma"},
            {"address": "192.0.2.9"},
            {"bind": None},
            {"mesh_port": 9001},
            {"processes": 1},
            {"python": "python3.12"},
            {"workdir": "/srv"},
            {"root": "/srv/root"},
            {"ssh": "other"},
            {"ssh_port": 2222},
            {"user": "root"},
        )
    ),
]


@pytest.mark.parametrize("change", CHANGES, ids=str)
def test_another_input_is_another_release(change):
    assert plan(**change).release != plan().release


def test_releases_differ_from_each_other():
    releases = {plan(**change).release for change in [{}, *CHANGES]}
    assert len(releases) == len(CHANGES) + 1


def test_where_a_secret_is_read_is_no_part_of_a_release():
    other = dataclasses.replace(settings(), secrets={"TOKEN": SecretSource(file=Path("/etc/t"))})
    assert plan(deployment=other).release == plan().release


def test_no_value_of_a_secret_is_in_a_plan(monkeypatch):
    monkeypatch.setenv("CTL_TOKEN", "canary")
    made = plan()
    shown = json.dumps([made.manifest, made.launch(ALPHA, "L1"), made.launch(BETA, "L1")])
    assert "canary" not in shown + repr(made)
    assert made.manifest["secrets"] == ["TOKEN"]


def test_what_a_host_has_to_run():
    launch = plan().launch(ALPHA, "L1")
    assert json.loads(json.dumps(launch)) == launch
    assert (launch["launch"], launch["release"]) == ("L1", plan().release)
    assert launch["manifest"] == plan().manifest
    assert launch["agent"] == plan().digests.agent == launch["manifest"]["layers"]["agent"]
    one, other = launch["processes"]
    assert (one["id"], one["address"], one["listens"]) == (0, "192.0.2.1:9000", ["0.0.0.0", 9000])
    assert (other["id"], other["address"]) == (1, "192.0.2.1:9001")
    assert one["restart"] is None
    assert one["cwd"] is None
    code = launch["manifest"]["layers"]["code"]
    assert launch["links"] == {"data/a.csv": ["layers", code, "data/a.csv"]}
    (check,) = launch["checks"]
    assert "--check" in check["argv"]


def test_another_host():
    launch = plan().launch(BETA, "L1")
    (process,) = launch["processes"]
    assert (process["id"], process["address"]) == (2, "[2001:db8::2]:9100")
    assert process["listens"] == ["2001:db8::2", 9100]
    assert process["cwd"] == "/srv/x y"
    assert launch["links"] == {}


def test_a_host_that_has_left_gets_nothing_to_run():
    launch = plan(hosts=(ALPHA,)).launch(BETA, "L1")
    assert (launch["processes"], launch["checks"], launch["links"]) == ([], [], {})


def test_the_user_s_variables_go_before_the_runtime_s():
    changed = dataclasses.replace(settings(), env={"PYTHONUNBUFFERED": "", "ODD": "$(a) 'b\n"})
    (process, _) = plan(deployment=changed).launch(ALPHA, "L1")["processes"]
    assert process["env"]["PYTHONUNBUFFERED"] == ""
    assert process["env"]["ODD"] == "$(a) 'b\n"


def test_a_path_of_the_user_comes_behind_what_was_pushed():
    changed = dataclasses.replace(settings(), env={"PYTHONPATH": "/opt/own"})
    process = plan(deployment=changed).launch(ALPHA, "l1")["processes"][0]
    pushed = plan().launch(ALPHA, "l1")["processes"][0]["env"]["PYTHONPATH"]
    assert process["env"]["PYTHONPATH"] == {"join": [pushed, "/opt/own"]}
    changed = dataclasses.replace(settings(), env={"PYTHONPATH": ""})
    process = plan(deployment=changed).launch(ALPHA, "l1")["processes"][0]
    assert process["env"]["PYTHONPATH"] == pushed, "an empty part would be the working directory"


@pytest.mark.parametrize(
    ("addresses", "insecure", "encrypted"),
    [
        (("127.0.0.1", "::1"), False, False),
        (("127.0.0.1", "192.0.2.1"), False, True),
        (("alpha.example", "beta.example"), False, True),
        (("192.0.2.1", "192.0.2.2"), True, False),
    ],
)
def test_a_mesh_that_leaves_a_machine_is_encrypted(addresses, insecure, encrypted):
    one, other = addresses
    hosts = (dataclasses.replace(ALPHA, address=one), dataclasses.replace(BETA, address=other))
    made = plan(hosts=hosts, insecure=insecure)
    assert made.encrypted == encrypted
    words = made.launch(hosts[1], "L1")["processes"][0]["argv"]
    assert ("--tls-cert" in words) == encrypted
    assert ("--insecure" in words) == insecure


def test_a_host_that_is_found_again():
    data = json.loads(json.dumps(host_to_json(ALPHA)))
    assert Host(**data) == ALPHA
