"""Values of secrets: where they come from, and that no error shows one."""

import traceback

import pytest

from ctl.errors import InventoryError
from ctl.inventory import load, read_secrets
from tests.ctl.inventory.reading import DEPLOYMENT, HOST

VALUE = "hunter2"


@pytest.fixture
def inventory(tmp_path):
    path = tmp_path / "inventory.toml"
    path.write_text(
        f"{DEPLOYMENT}[deployment.secrets]\n"
        f'FROM_ENV = {{ env = "MINE" }}\nFROM_FILE = {{ file = "token" }}\n{HOST}'
    )
    return load(path)


def write(inventory, content: bytes, mode: int = 0o600) -> None:
    file = inventory.path.parent / "token"
    file.write_bytes(content)
    file.chmod(mode)


def error_of(inventory, environ) -> str:
    with pytest.raises(InventoryError) as raised:
        read_secrets(inventory, environ)
    assert raised.value.__context__ is None
    assert VALUE not in "".join(traceback.format_exception(raised.value))
    return str(raised.value)


@pytest.mark.parametrize(
    ("content", "value"),
    [
        (b"a", "a"),
        (b"a\n", "a"),
        (b"a\r\n", "a"),
        (b"a\n\n", "a\n"),
        (b" $(x)\n'\" \xc3\xa9 ", " $(x)\n'\" é "),
        (b"", ""),
    ],
)
def test_values_are_read_as_they_are(inventory, content, value):
    write(inventory, content)
    assert read_secrets(inventory, {"MINE": " x\n"}) == {"FROM_ENV": " x\n", "FROM_FILE": value}


def test_nothing_is_read_before_it_is_needed(inventory):
    assert not (inventory.path.parent / "token").exists()
    assert set(inventory.deployment.secrets) == {"FROM_ENV", "FROM_FILE"}


def test_what_is_missing_is_listed_at_once(inventory):
    path = inventory.path
    assert error_of(inventory, {}) == (
        f"{path}:4: secret FROM_ENV: the variable MINE is not set; export it, or name another one\n"
        f"{path}:5: secret FROM_FILE: the file {path.parent}/token cannot be read: "
        "No such file or directory; create it with mode 600, or name another one"
    )


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o601, 0o610])
def test_a_file_that_others_can_use(inventory, mode):
    write(inventory, VALUE.encode(), mode)
    file = inventory.path.parent / "token"
    assert error_of(inventory, {"MINE": VALUE}) == (
        f"{inventory.path}:5: secret FROM_FILE: others than its owner can use the file {file} "
        f"(mode {mode:04o}); chmod 600 {file}"
    )


def test_a_folder_is_no_file(inventory):
    (inventory.path.parent / "token").mkdir(mode=0o700)
    assert "cannot be read: Is a directory" in error_of(inventory, {"MINE": VALUE})


@pytest.mark.parametrize("content", [b"\xff" + VALUE.encode(), VALUE.encode() + b"\0"])
def test_what_no_variable_can_hold(inventory, content):
    write(inventory, content)
    message = error_of(inventory, {"MINE": VALUE + "\udcff"})
    assert "secret FROM_ENV: the variable MINE holds no text in UTF-8; encode it" in message
    assert "secret FROM_FILE: the file" in message
