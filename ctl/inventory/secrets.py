"""The values of secrets, read when a deployment is to start; nothing here shows one."""

import os
import shlex
import stat
from collections.abc import Mapping
from pathlib import Path

from ctl.errors import InventoryError
from ctl.inventory.model import Inventory, SecretSource


class _UnreadableError(Exception):
    """A secret that cannot be had: why not, and what to do."""

    def __init__(self, problem: str, fix: str) -> None:
        super().__init__(problem)
        self.problem = problem
        self.fix = fix


def read_secrets(inventory: Inventory, environ: Mapping[str, str]) -> dict[str, str]:
    """Read the values of all secrets; of a file, without the newline at its end.

    Args:
        inventory: Says where each of them is.
        environ: The variables of the operator, such as `os.environ`.

    Raises:
        InventoryError: If any is missing, or in a file that others can read; all are listed.
    """
    found: dict[str, str] = {}
    problems: list[tuple[str, str]] = []
    for name, source in inventory.deployment.secrets.items():
        where = inventory.where("deployment", "secrets", name)
        try:
            found[name] = _read(source, environ)
        except _UnreadableError as error:
            problems.append((f"{where}: secret {name}: {error.problem}", error.fix))
    if len(problems) == 1:
        raise InventoryError(*problems[0])
    if problems:
        raise InventoryError("\n".join(f"{problem}; {fix}" for problem, fix in problems))
    return found


def _read(source: SecretSource, environ: Mapping[str, str]) -> str:
    if source.file is not None:
        value, what = _content(source.file), f"file {source.file}"
    else:
        assert source.env is not None
        if source.env not in environ:
            problem = f"the variable {source.env} is not set"
            raise _UnreadableError(problem, "export it, or name another one")
        value, what = os.fsencode(environ[source.env]), f"variable {source.env}"
    try:
        text = value.decode()
    except UnicodeDecodeError:
        # Raised below, as the error of the decoder carries the value.
        text = "\0"
    if "\0" in text:
        problem = f"the {what} holds no text in UTF-8"
        raise _UnreadableError(problem, "encode it, for instance with base64")
    return text


def _content(file: Path) -> bytes:
    try:
        with file.open("rb") as opened:
            mode = stat.S_IMODE(os.fstat(opened.fileno()).st_mode)
            if mode & 0o077:
                problem = f"others than its owner can use the file {file} (mode {mode:04o})"
                raise _UnreadableError(problem, f"chmod 600 {shlex.quote(str(file))}")
            content = opened.read()
    except OSError as error:
        problem = f"the file {file} cannot be read: {error.strerror}"
        raise _UnreadableError(problem, "create it with mode 600, or name another one") from None
    return content.removesuffix(b"\n").removesuffix(b"\r")
