"""The inventory that a user begins with."""

import contextlib
import json
import os
import tempfile
from collections import Counter
from collections.abc import Sequence
from itertools import count
from pathlib import Path
from typing import NamedTuple

from ctl.errors import CannotWriteError, UsageError
from ctl.inventory import values
from ctl.inventory.values import Check, WrongValueError

_COMMENT_COLUMN = 34
_ADDRESS = "what the other hosts dial; default: what ssh resolves to"


class _Target(NamedTuple):
    ssh: str
    user: str | None = None
    address: str | None = None


_EXAMPLES = (
    _Target("alpha.example", address="192.0.2.10"),
    _Target("beta.example", address="192.0.2.11"),
)


_RUNTIMES = {
    "engine": (),
    "bytewax": (
        ('# mesh = "relay"', '"direct": as Bytewax connects, without protection'),
        ("# [deployment.recovery]", "folder of each host; whole seconds"),
        ('# store = "~/recovery"', ""),
        ("# interval = 10", ""),
    ),
    "pathway": (
        ("# [deployment.secrets]", "for several hosts"),
        ('# PATHWAY_LICENSE_KEY = { env = "PATHWAY_LICENSE_KEY" }', ""),
    ),
    "command": (
        (
            'command = ["python", "program.py"]',
            "{process_id}, {addresses} and others are filled in",
        ),
        ('# ready = "at_once"', '"tcp", { http = "/healthz" } or { log = "regex" }'),
        ('# restart = "never"', 'or "on-failure"'),
    ),
}
"""What is worth a line for each runtime."""

_EXAMPLE_HOSTS = {"pathway": 1}
"""How many of the examples fit, if not all: without a licence key one does."""


def starting_inventory(
    name: str | None, hosts: Sequence[str], folder: str, runtime: str = "engine"
) -> str:
    """The text of a small inventory.

    Args:
        name: What to call the deployment; None for the name of the folder.
        hosts: Each `host` or `user@host`; examples if there are none.
        folder: Name of the folder that it is for.
        runtime: What is to run the flow.

    Raises:
        UsageError: If a name or a host cannot be one.
    """
    name = (values.to_name(folder) or "flow") if name is None else _checked(name, values.name)
    if runtime not in _RUNTIMES:
        msg = f"there is no runtime {runtime!r}"
        raise UsageError(msg, f"there are {', '.join(_RUNTIMES)}")
    targets = [_target(each) for each in hosts]
    for ssh, times in Counter(target.ssh for target in targets).items():
        if times > 1:
            msg = f"the host {ssh!r} is there twice"
            raise UsageError(msg, "give each once; `processes` in the inventory says how many run")
    users = {target.user for target in targets}
    shared = users.pop() if len(users) == 1 else None
    lines = [
        "# The inventory: the deployment, and the hosts that run it.",
        "# Commented keys show their default, or an example where there is none.",
        "",
        "[deployment]",
        _line(f"name = {_quoted(name)}", "names it in every command and on every host"),
        *([_line(f"runtime = {_quoted(runtime)}", "what runs it")] if _RUNTIMES[runtime] else []),
        _line("# workers = 1", "worker threads per process"),
        _line('# env = { LOG_LEVEL = "info" }', "environment of every process"),
        *(_line(text, comment) if comment else text for text, comment in _RUNTIMES[runtime]),
        "",
        _line("[defaults]", "any key of a host, for the hosts that do not have it"),
        _line(f"user = {_quoted(shared)}" if shared else '# user = "deploy"', "login on the hosts"),
        _line('# python = "python3"', "its minor version has to be the same on all hosts"),
        _line("# processes = 1", "on each host"),
        _line("# mesh_port = 9000", "of the first process of a host; the others count up from it"),
    ]
    targets = targets or list(_EXAMPLES[: _EXAMPLE_HOSTS.get(runtime)])
    for target, host_name in zip(targets, _names(targets), strict=True):
        lines += ["", _line("[[hosts]]", "their order is that of the process ids")]
        lines.append(f"name = {_quoted(host_name)}")
        lines.append(_line(f"ssh = {_quoted(target.ssh)}", "what SSH dials; ~/.ssh/config applies"))
        if target.user and not shared:
            lines.append(f"user = {_quoted(target.user)}")
        address = f'address = "{target.address or "192.0.2.10"}"'
        lines.append(_line(address if target.address else f"# {address}", _ADDRESS))
    return "\n".join([*lines, ""])


def write_new(path: Path, text: str, *, replace: bool) -> None:
    """Write a file as a whole, with mode 0644.

    Args:
        path: The file.
        text: What it is to have.
        replace: Whether one that is there may go.

    Raises:
        CannotWriteError: If it is there, or cannot be written.
    """
    if not replace and os.path.lexists(path):
        msg = f"{path} is there already"
        raise CannotWriteError(msg, "name another file, or replace it with --force")
    try:
        descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        try:
            with open(descriptor, "w", encoding="utf-8") as file:  # noqa: PTH123  # a descriptor
                file.write(text)
                os.fchmod(file.fileno(), 0o644)
            Path(temporary).replace(path)
        except BaseException:
            with contextlib.suppress(OSError):
                Path(temporary).unlink()
            raise
    except OSError as error:
        msg = f"{path} cannot be written: {error.strerror}"
        raise CannotWriteError(msg, "name a file in a folder that you can write to") from None


def _checked(value: str, check: Check) -> str:
    try:
        return str(check(value))
    except WrongValueError as wrong:
        msg = f"{value!r} cannot be used"
        raise UsageError(msg, wrong.fix) from None


def _target(text: str) -> _Target:
    user, at, host = text.rpartition("@")
    return _Target(_checked(host, values.ssh_target), _checked(user, values.login) if at else None)


def _names(targets: Sequence[_Target]) -> list[str]:
    """The first label of each host, or all of it where several would be the same."""
    whole = [values.to_name(target.ssh) for target in targets]
    # The labels of an IP address are no names.
    short = [
        values.to_name(target.ssh.partition(".")[0])
        if target.ssh.rpartition(".")[2].isalpha()
        else name
        for target, name in zip(targets, whole, strict=True)
    ]
    times = Counter(short)
    names = [
        label if label and times[label] == 1 else name
        for label, name in zip(short, whole, strict=True)
    ]
    # Different hosts can still look the same in the few characters that a name has.
    seen: set[str] = set()
    for index, name in enumerate(names):
        if not name or name in seen:
            numbered = (f"host-{number}" for number in count(index))
            names[index] = next(each for each in numbered if each not in seen)
        seen.add(names[index])
    return names


def _quoted(text: str) -> str:
    """Text as TOML; it has no control characters, so JSON writes it in the same way."""
    return json.dumps(text, ensure_ascii=False)


def _line(text: str, comment: str) -> str:
    return f"{text:<{_COMMENT_COLUMN - 1}} # {comment}"
