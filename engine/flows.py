"""Find and load the dataflow that a FLOW argument names.

FLOW is `module[:name]`, `module:factory("arg")` or `path/to/flow.py[:…]`; the default name
is `flow`. The arguments of a factory are literals.
"""

import ast
import importlib
import inspect
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Any

from engine.dataflow import Dataflow
from engine.errors import FlowLoadError, FlowNotFoundError, InterruptedRunError, UsageError

FORMS = 'module[:name], module:factory("arg") or path/to/flow.py[:…]'
_DEFAULT_NAME = "flow"
_OUR_PACKAGES = ("engine", "ctl")


@dataclass(frozen=True)
class FlowReference:
    """What a FLOW argument says.

    Args:
        place: Module name, or path of a file.
        is_file: Whether `place` is a path.
        name: The variable, or the factory.
        arguments: Positional and keyword arguments of the factory; `None` for a variable.
    """

    place: str
    is_file: bool
    name: str = _DEFAULT_NAME
    arguments: tuple[tuple[Any, ...], dict[str, Any]] | None = None

    @classmethod
    def parse(cls, text: str) -> "FlowReference":
        """Read a FLOW argument; nothing is looked up.

        Raises:
            UsageError: If it has none of the forms.
        """
        place, target = _split(text)
        is_file = place.endswith(".py")
        if not is_file and "/" in place:
            msg = f"FLOW {text!r}: the path of a flow ends in .py; FLOW is {FORMS}"
            raise UsageError(msg)
        if not place or (not is_file and not all(place.split("."))):
            msg = f"FLOW {text!r} names no module and no file; it is {FORMS}"
            raise UsageError(msg)
        return cls(place, is_file, *_target(text, _DEFAULT_NAME if target is None else target))


def load_flow(text: str) -> Dataflow:
    """Import what a FLOW argument names and give its dataflow.

    The folder of a flow file, or the current one for a module, becomes `sys.path[0]`.

    Raises:
        UsageError: If the argument has none of the forms.
        FlowNotFoundError: If there is no such file, module or variable.
        FlowLoadError: If it cannot be imported, or is no dataflow; an exception of the
            user's code is the `__cause__`.
        InterruptedRunError: If SIGINT comes meanwhile.
    """
    reference = FlowReference.parse(text)
    try:
        module = _import_file(reference) if reference.is_file else _import_module(reference)
        value = _value(reference, module)
    except KeyboardInterrupt:
        msg = f"interrupted while {reference.place} was loaded"
        raise InterruptedRunError(msg) from None
    if isinstance(value, Dataflow):
        return value
    what = f"`{reference.name}` of {reference.place} is {_a(value)}, not a Dataflow"
    if reference.arguments is not None:
        what = f"`{reference.name}` of {reference.place} returned {_a(value)}, not a Dataflow"
    elif callable(value):
        what += f"; if it returns one, call it: {reference.place}:{reference.name}()"
    raise FlowLoadError(what + _others(reference, module))


def _split(text: str) -> tuple[str, str | None]:
    """Place and target; a path may hold colons, and an argument of a factory a path."""
    head, colon, tail = text.partition(":")
    if all(part.isidentifier() for part in head.split(".")) and not head.endswith(".py"):
        return head, tail if colon else None
    end = text.find(".py:")
    if end >= 0:
        return text[: end + 3], text[end + 4 :]
    if text.endswith(".py"):
        return text, None
    return head, tail if colon else None


def _target(text: str, target: str) -> tuple[str, tuple[tuple[Any, ...], dict[str, Any]] | None]:
    try:
        expression = ast.parse(target, mode="eval").body
    except (SyntaxError, ValueError):
        expression = None
    if isinstance(expression, ast.Name):
        return expression.id, None
    if isinstance(expression, ast.Call) and isinstance(expression.func, ast.Name):
        if not all(each.arg for each in expression.keywords):
            msg = f"FLOW {text!r}: name each argument instead of using `**`"
            raise UsageError(msg)
        try:
            positional = tuple(ast.literal_eval(each) for each in expression.args)
            keywords = {str(each.arg): ast.literal_eval(each.value) for each in expression.keywords}
        except (ValueError, TypeError):
            msg = f"FLOW {text!r}: the arguments of a factory are literals, as in factory('a', 2)"
            raise UsageError(msg) from None
        return expression.func.id, (positional, keywords)
    msg = f"FLOW {text!r}: {target!r} is no variable and no call of a factory; FLOW is {FORMS}"
    raise UsageError(msg)


def _import_file(reference: FlowReference) -> ModuleType:
    path = Path(reference.place).absolute()
    if not path.is_file():
        problem = "is a folder, not a file" if path.is_dir() else "does not exist"
        msg = f"flow file {reference.place} {problem}"
        raise FlowNotFoundError(msg if path.is_dir() else f"{msg}; looked for {path}")
    _enter(path.parent)
    # A dot would make pickle look for a package.
    name = path.stem.replace(".", "_")
    if name in sys.stdlib_module_names:
        msg = f"{path} hides Python's own module `{name}`; rename it"
        raise FlowLoadError(msg)
    spec = spec_from_file_location(name, path)
    assert spec is not None
    loader = spec.loader
    assert loader is not None
    module = module_from_spec(spec)
    # Pickles name the module, so it has to be found by its name.
    sys.modules[name] = module
    try:
        _run(reference, lambda: loader.exec_module(module))
    except BaseException:
        sys.modules.pop(name, None)
        raise
    return module


def _import_module(reference: FlowReference) -> ModuleType:
    name = reference.place
    _enter(Path.cwd())
    try:
        module: ModuleType = _run(reference, lambda: importlib.import_module(name))
    except FlowLoadError as error:
        cause = error.__cause__
        if isinstance(cause, ModuleNotFoundError) and f"{name}.".startswith(f"{cause.name}."):
            msg = f"there is no module `{cause.name}`; looked in {Path.cwd()} and on sys.path"
            raise FlowNotFoundError(msg) from None
        raise
    return module


def _enter(folder: Path) -> None:
    """Make the folder `sys.path[0]`, unless a package of ours would be mixed up with one there."""
    for package in _OUR_PACKAGES:
        for theirs in (folder / f"{package}.py", folder / package / "__init__.py"):
            if theirs.exists() and not _is_ours(package, theirs):
                what = theirs if theirs.name != "__init__.py" else theirs.parent
                msg = f"{what} has the name of hostmesh's package `{package}`; rename it"
                raise FlowLoadError(msg)
    if sys.path[:1] != [str(folder)]:
        sys.path.insert(0, str(folder))


def _is_ours(package: str, file: Path) -> bool:
    return file.resolve() == Path(__file__).resolve().parents[1] / package / "__init__.py"


def _value(reference: FlowReference, module: ModuleType) -> object:
    try:
        value = getattr(module, reference.name)
    except AttributeError:
        msg = f"{reference.place} has no variable `{reference.name}`"
        raise FlowNotFoundError(msg + _others(reference, module)) from None
    if reference.arguments is None:
        return value
    positional, keywords = reference.arguments
    if not callable(value):
        msg = f"`{reference.name}` of {reference.place} is {_a(value)}; it cannot be called"
        raise FlowLoadError(msg + _others(reference, module))
    signature = inspect.signature(value)
    try:
        signature.bind(*positional, **keywords)
    except TypeError as error:
        msg = f"factory `{reference.name}{signature}` of {reference.place}: {error}"
        raise FlowLoadError(msg) from None
    return _run(reference, lambda: value(*positional, **keywords))


def _run(reference: FlowReference, load: Callable[[], Any]) -> Any:
    """Run the user's code; whatever comes of it has a name."""
    try:
        return load()
    except SyntaxError as error:
        if error.filename is None or not Path(error.filename).is_file():
            raise _failed(reference, error) from error
        line = f"\n    {error.text.strip()}" if error.text else ""
        msg = f"{_shown(error.filename)}:{error.lineno}: {error.msg}{line}"
        raise FlowLoadError(msg) from None
    except SystemExit as error:
        msg = f"{reference.place} called sys.exit({error.code!r}) while it was loaded"
        raise FlowLoadError(msg) from error
    except Exception as error:
        raise _failed(reference, error) from error


def _failed(reference: FlowReference, error: Exception) -> FlowLoadError:
    try:
        text = str(error)
    except Exception:
        text = ""
    what = f"{type(error).__qualname__}: {text}" if text else type(error).__qualname__
    return FlowLoadError(f"{reference.place} failed while it was loaded: {what}")


def _others(reference: FlowReference, module: ModuleType) -> str:
    names = [
        f"{reference.place}:{name}"
        for name, value in vars(module).items()
        if isinstance(value, Dataflow)
    ]
    return f"; it has {', '.join(names)}" if names else "; it has no Dataflow"


def _shown(filename: str) -> str:
    return os.path.relpath(filename) if Path(filename).is_relative_to(Path.cwd()) else filename


def _a(value: object) -> str:
    name = type(value).__name__
    return f"an {name}" if name[0] in "aeiouAEIOU" else f"a {name}"
