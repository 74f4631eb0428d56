"""Names, paths, values and arguments arrive as they were written, and execute nothing."""

import json
from pathlib import Path

import pytest

from tests.engine.running import eventually
from tests.fleet.fleets import Fleet
from tests.fleet.flows import ticking
from tests.fleet.hosts import FleetHost
from tests.fleet.site import Site

# All that a shell, Python, TOML or a log might take for something else.
NASTY = "a b  'q' \"d\" $(touch pwned) `touch pwned` ;touch pwned; ${HOME} %s \\n é☃ {x}"
NAME = NASTY.replace("/", "")
FLOW = (
    ticking("one")
    + """

import os, pathlib, sys

print("NAMES", ascii({
    "nasty": os.environ.get("NASTY"),
    "lines": os.environ.get("LINES_OF_IT"),
    "empty": os.environ.get("EMPTY"),
    "cwd": os.getcwd(),
    "file": __file__,
    "data": [path.read_text() for path in sorted(pathlib.Path("data").glob("*"))],
}), file=sys.stderr)
built = flow

def build(*arguments, **named):
    print("ARGUMENTS", ascii((arguments, named)), file=sys.stderr)
    return built
"""
)


def told(site: Site, mark: str, *words: object) -> object:
    """What the flow has printed behind a mark."""
    lines = site.ctl("logs", *words, "-n", "100000", "--json").stdout.splitlines()
    texts = [json.loads(line)["text"] for line in lines]
    found = next((text.removeprefix(mark) for text in texts if text.startswith(mark)), None)
    return None if found is None else eval(found)


def executed(site: Site, host: FleetHost) -> list[str | Path]:
    """The files that commands in a name would have made."""
    here = [*site.folder.parent.rglob("pwned"), *Path.cwd().glob("pwned")]
    return [*here, *host.run("find", ".", "-name", "pwned").splitlines()]


@pytest.mark.parametrize("newline", ["", "\n"], ids=["one line", "two lines"])
def test_names_and_paths(fleet: Fleet, newline: str) -> None:
    """A newline is allowed where a path is one of a host, or of a file that is pushed."""
    (host,) = fleet(1)
    site = fleet.site()
    name = NAME + newline + "end"
    inventory = f"{NAME}.toml"
    workdir = host.home / "work" / name
    site.inventory(
        [host],
        file=inventory,
        deployment={
            "env": {"NASTY": NASTY, "LINES_OF_IT": f"{NASTY}\n\n\t{NASTY}\n", "EMPTY": ""},
            "include": ["data/*"],
        },
        keys={
            host.name: {"root": f"~/{name}/root", **({"workdir": str(workdir)} if newline else {})}
        },
    )
    site.write(f"data/{name}.txt", NASTY)
    site.write(f"{name}/{name}.py", FLOW)
    flow = f"{name}/{name}.py"
    deployed = site.ctl("deploy", inventory, flow)
    assert deployed.returncode == 0, deployed.stderr

    found = told(site, "NAMES", inventory)
    assert isinstance(found, dict)
    assert found["nasty"] == NASTY
    assert found["lines"] == f"{NASTY}\n\n\t{NASTY}\n"
    assert found["empty"] == ""
    assert Path(found["file"]).name == f"{name}.py"
    if newline:
        assert found["cwd"] == str(workdir)
    else:
        assert found["data"] == [NASTY]
        assert found["cwd"].startswith(f"{host.home}/{name}/root/")
    status = site.ctl("status", inventory, "--json")
    assert json.loads(status.stdout)["state"] == "running"
    stopped = site.ctl("stop", inventory)
    assert stopped.returncode == 0, stopped.stderr
    assert site.ctl("status", inventory).returncode == 0
    assert not executed(site, host)
    assert not [each for each in host.processes() if "engine.run" in each.argv]


def test_arguments_of_a_factory(fleet: Fleet) -> None:
    (host,) = fleet(1)
    site = fleet.site()
    site.inventory([host])
    site.write("flow.py", FLOW)
    witness = site.folder / "pwned"
    argument = f"{NASTY} $(touch {witness}) `touch {witness}`\n\r\t\x7f"
    flow = f"flow.py:build({argument!r}, -1, [None, b'\\xff'], named={NASTY!r})"
    deployed = site.ctl("deploy", "inventory.toml", flow)
    assert deployed.returncode == 0, deployed.stderr

    eventually(lambda: told(site, "ARGUMENTS"), "the factory has been called")
    assert told(site, "ARGUMENTS") == ((argument, -1, [None, b"\xff"]), {"named": NASTY})
    (status,) = json.loads(site.ctl("status", "--json").stdout)["processes"]
    assert status["state"] == "running"
    assert site.ctl("stop").returncode == 0
    assert not executed(site, host)
