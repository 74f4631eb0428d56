"""Reading `[deployment]` and the tables in it."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from ctl.inventory import keys, values
from ctl.inventory.lines import KeyPath
from ctl.inventory.model import DeploymentSettings, Recovery, SecretSource
from ctl.inventory.problems import Problems, key_shown
from ctl.inventory.tables import read_array, read_table
from ctl.inventory.values import Check, WrongValueError, shown

_TABLE: KeyPath = ("deployment",)


def read_deployment(
    raw: object, folder: Path, runtimes: Mapping[str, Mapping[str, Check]], problems: Problems
) -> DeploymentSettings:
    """Read `[deployment]` and the tables in it; what is wrong is noted.

    Args:
        raw: What `tomllib` found.
        folder: What relative paths are relative to.
        runtimes: By name, the further keys that each allows.
        problems: Where to note what is wrong; the result is then of no use.
    """
    options = _options(raw, runtimes)
    tables = dict.fromkeys(keys.DEPLOYMENT_TABLES, _as_it_is)
    checks: dict[str, Check] = {
        **keys.DEPLOYMENT_KEYS,
        **tables,
        **options,
        "runtime": values.one_of(*runtimes),
    }
    found = read_table(raw, _TABLE, checks, problems, required=("name",))
    env = _env(found.get("env", {}), problems)
    secrets = _secrets(found.get("secrets", {}), folder, problems)
    for name in sorted(env.keys() & secrets.keys()):
        problem = f"{key_shown(name)} is in `env` and in `secrets`"
        path = (*_TABLE, "secrets", name)
        problems.add(path, problem, "leave it out in one of the two", inside=_TABLE)
    return DeploymentSettings(
        name=found.get("name", ""),
        runtime=found.get("runtime", "engine"),
        workers=found.get("workers", 1),
        requirements=_requirements(found.get("requirements"), folder, problems),
        include=read_array(found.get("include", []), (*_TABLE, "include"), values.text, problems),
        env=env,
        secrets=secrets,
        recovery=_recovery(found["recovery"], problems) if "recovery" in found else None,
        options={key: value for key, value in found.items() if key in options},
    )


def _as_it_is(value: object) -> object:
    return value


def _options(raw: object, runtimes: Mapping[str, Mapping[str, Check]]) -> Mapping[str, Check]:
    """The keys that the runtime adds; any runtime's, unchecked, where it is not known."""
    runtime = raw.get("runtime", "engine") if isinstance(raw, dict) else "engine"
    if isinstance(runtime, str) and runtime in runtimes:
        return runtimes[runtime]
    return {key: _as_it_is for options in runtimes.values() for key in options}


def _requirements(raw: object, folder: Path, problems: Problems) -> tuple[str, ...] | Path | None:
    path: KeyPath = (*_TABLE, "requirements")
    if raw is None:
        return None
    if isinstance(raw, str):
        file: Path | None = problems.check(path, raw, _file_in(folder))
        return file or ()
    if not isinstance(raw, list):
        fix = "write an array of requirements, or the name of a file that lists them"
        problems.add(path, f"`requirements` is {shown(raw)}", fix)
        return ()
    return read_array(raw, path, values.text, problems)


def _env(raw: object, problems: Problems) -> dict[str, str]:
    path: KeyPath = (*_TABLE, "env")
    variables = _variables(raw, path, problems)
    checks = dict.fromkeys(variables, values.variable_value)
    return read_table(variables, path, checks, problems)


def _secrets(raw: object, folder: Path, problems: Problems) -> dict[str, SecretSource]:
    path: KeyPath = (*_TABLE, "secrets")
    checks = {"env": _hidden(values.variable), "file": _hidden(_file_in(folder))}
    sources = {}
    for name, source in _variables(raw, path, problems).items():
        place = (*path, name)
        fix = f'write {name} = {{ env = "{name}" }} or {name} = {{ file = "a file" }}'
        if not isinstance(source, dict):
            problems.add(place, f"{key_shown(name)} is no table", f"{fix}, never the value")
        elif ("env" in source) == ("file" in source):
            which = "both `env` and `file`" if "env" in source else "neither `env` nor `file`"
            problems.add(place, f"{key_shown(name)} has {which}", fix)
        sources[name] = SecretSource(
            **read_table(source if isinstance(source, dict) else {}, place, checks, problems)
        )
    return sources


def _recovery(raw: object, problems: Problems) -> Recovery:
    path: KeyPath = (*_TABLE, "recovery")
    found = read_table(raw, path, keys.RECOVERY_KEYS, problems, required=("store",))
    return Recovery(**{"store": "", **found})


def _variables(raw: object, path: KeyPath, problems: Problems) -> dict[str, Any]:
    """The entries of a table whose keys are variables that a deployment may set."""
    if not isinstance(raw, dict):
        header = ".".join(map(str, path))
        problems.add(path, f"{key_shown(str(path[-1]))} is no table", f"write it as [{header}]")
        return {}
    fine = {}
    for name, value in raw.items():
        if not values.VARIABLE.fullmatch(name):
            fix = "name it with letters, digits and _, no digit first"
            problems.add((*path, name), f"{key_shown(name)} is no name of a variable", fix)
        elif name.startswith(values.RESERVED_PREFIXES):
            fix = "rename it; what begins like this is set by ctl and the engine"
            problems.add((*path, name), f"{key_shown(name)} is reserved", fix)
        else:
            fine[name] = value
    return fine


def _file_in(folder: Path) -> Callable[[object], Path]:
    def check(value: object) -> Path:
        try:
            return folder / Path(values.path(value)).expanduser()
        except RuntimeError:
            problem = "is in a home directory that there is not"
            raise WrongValueError(problem, "write the whole path") from None

    return check


def _hidden(check: Check) -> Check:
    """The same check, but what it says does not show the value: it may be the secret itself."""

    def hidden(value: object) -> Any:
        try:
            return check(value)
        except WrongValueError as wrong:
            fix = f"{wrong.fix}; the secret itself does not belong here"
        problem = "is wrong"
        raise WrongValueError(problem, fix)

    return hidden
