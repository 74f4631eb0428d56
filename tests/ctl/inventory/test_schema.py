"""The schema for editors agrees with the reader, as far as a schema can."""

import json
import tomllib
from dataclasses import fields
from importlib.resources import files

import pytest
from jsonschema import Draft7Validator

from ctl.inventory import RUNTIMES, DeploymentSettings, Host, Recovery, SecretSource
from tests.ctl.inventory.reading import DEPLOYMENT, HOST, problems
from tests.ctl.inventory.test_any_text import VALID
from tests.ctl.inventory.test_reading import DEPLOYMENT_RULES, HOST_RULES

SCHEMA = json.loads((files("ctl.inventory") / "schema.json").read_text())
VALIDATOR = Draft7Validator(SCHEMA)

# JSON has one kind of number, without nan; a schema can neither calculate nor look up home
# directories; and Python's `$`, other than that of JSON Schema, also matches before a newline.
BEYOND = (
    *(".0", "nan", "inf", "~nobody", "processes = 56537", "0xff", "1.2.3.400"),
    *('name = "a\\n"', '"A\\n" ='),
)


def accepts(text: str) -> bool:
    return VALIDATOR.is_valid(tomllib.loads(text))


def names(model: type) -> set[str]:
    return {each.name for each in fields(model)}


def test_it_is_a_schema():
    Draft7Validator.check_schema(SCHEMA)


def test_it_has_the_keys_of_the_model_and_no_others():
    deployment = SCHEMA["properties"]["deployment"]["properties"]
    assert set(SCHEMA["properties"]) == {"deployment", "defaults", "hosts"}
    options = {option for runtime in RUNTIMES.values() for option in runtime}
    assert set(deployment) == (names(DeploymentSettings) - {"options"}) | options
    assert deployment["runtime"]["enum"] == list(RUNTIMES)
    assert set(deployment["recovery"]["properties"]) == names(Recovery)
    secret = deployment["secrets"]["additionalProperties"]
    assert set(secret["properties"]) == names(SecretSource)
    assert set(SCHEMA["properties"]["hosts"]["items"]["properties"]) == names(Host)
    assert set(SCHEMA["properties"]["defaults"]["properties"]) == names(Host) - {"name"}


def test_it_says_the_defaults_of_the_model():
    host = Host("x")
    for key, definition in SCHEMA["definitions"].items():
        if "default" in definition:
            assert definition["default"] == getattr(host, key)
    deployment = SCHEMA["properties"]["deployment"]["properties"]
    assert deployment["workers"]["default"] == DeploymentSettings("x").workers
    assert deployment["recovery"]["properties"]["interval"]["default"] == Recovery("x").interval


GOOD = [
    VALID,
    DEPLOYMENT + HOST,
    f'{DEPLOYMENT}requirements = "requirements.txt"\nepoch_interval = 0\n\n{HOST}',
    f'{DEPLOYMENT}env = {{ A = "" }}\nsecrets = {{ B = {{ file = "x" }} }}\n{HOST}',
    f'{DEPLOYMENT}[defaults]\nroot = "~"\nworkdir = "~x/y z"\n{HOST}',
    *(f'{DEPLOYMENT}[[hosts]]\nname = "a"\naddress = "{address}"\n' for address in (
        *("10.0.0.1", "alpha", "alpha.example.", "my_host", "::1", "[::1]", "2001:db8::1"),
        *("fe80::1%eth0", "[fe80::1%eth0]", "::ffff:10.0.0.1", "localhost"),
    )),
    *(f'{DEPLOYMENT}[[hosts]]\nname = "a"\nssh = "{ssh}"\n' for ssh in (
        *("alpha", "alpha.example", "::1", "[::1]", "fe80::1%eth0", "größe", "a,b", "10.0.0.1"),
    )),
    f'{DEPLOYMENT}[[hosts]]\nname = "0-_"\nuser = "dom\\\\john doe@x"\nbind = "::"\n',
]  # fmt: skip


@pytest.mark.parametrize("text", GOOD)
def test_both_accept(text):
    assert not problems(text)
    assert not list(VALIDATOR.iter_errors(tomllib.loads(text)))


@pytest.mark.parametrize(
    "line", [line for line, _ in DEPLOYMENT_RULES if not any(each in line for each in BEYOND)]
)
def test_both_refuse_a_deployment(line):
    name = "" if line.startswith("name") or not line else 'name = "flights"'
    text = f"[deployment]\n{name}\n{line}\n{HOST}"
    assert problems(text)
    assert not accepts(text)


@pytest.mark.parametrize(
    "line", [line for line, _ in HOST_RULES if not any(each in line for each in BEYOND)]
)
def test_both_refuse_a_host(line):
    name = "" if line.startswith("name") else 'name = "beta"'
    text = f"{DEPLOYMENT}[[hosts]]\n{name}\n{line}\n"
    assert problems(text)
    assert not accepts(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        HOST,
        DEPLOYMENT,
        f"hosts = []\n{DEPLOYMENT}",
        f"{DEPLOYMENT}[hosts]\n",
        f"x = 1\n{DEPLOYMENT}{HOST}",
        f'{DEPLOYMENT}[defaults]\nname = "x"\n{HOST}',
        *(
            f'{DEPLOYMENT}[[hosts]]\nname = "a"\naddress = "{address}"\n'
            for address in ("", "0.0.0.0", "::", "[::]", "a b", "a:1", "a;b", "/x")
        ),
    ],
)
def test_both_refuse(text):
    assert problems(text)
    assert not accepts(text)
