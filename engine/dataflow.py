"""Describe a dataflow: streams, and the operators that connect them.

A description does no I/O and runs nothing; `engine.plan` turns it into stages and
`engine.worker` runs those.

>>> import engine.operators as op
>>> from engine.dataflow import Dataflow
>>> from engine.testing import TestingSink, TestingSource, run_main
>>> out: list[int] = []
>>> flow = Dataflow("double")
>>> nums = op.input("inp", flow, TestingSource([1, 2, 3]))
>>> doubled = op.map("times_two", nums, lambda x: x * 2)
>>> op.output("out", doubled, TestingSink(out))
>>> run_main(flow)
>>> out
[2, 4, 6]
"""

import copy
import dataclasses
import functools
import inspect
from collections.abc import Callable, Iterator
from typing import (
    Any,
    Concatenate,
    Generic,
    ParamSpec,
    TypeAlias,
    TypeVar,
    cast,
    overload,
)

from engine.errors import DataflowError
from engine.steps import Kind, Step

X_co = TypeVar("X_co", covariant=True)
V = TypeVar("V")
R = TypeVar("R")
P = ParamSpec("P")


class Dataflow:
    """A named graph of steps.

    Args:
        flow_id: Name of the dataflow; the first part of every step ID.

    Raises:
        DataflowError: If the name is empty or holds a `.`.
    """

    def __init__(self, flow_id: str) -> None:
        _check_name(flow_id, flow_id, "dataflow")
        self.flow_id = flow_id
        self._root = self
        self._path = flow_id
        self._steps: list[Step] = []
        self._operators: dict[str, str] = {}

    @property
    def scope(self) -> "Scope":
        """Where in the nesting of operators it is being used."""
        return Scope(self._root, self._path)

    @property
    def steps(self) -> tuple[Step, ...]:
        """The core steps, in the order in which they were added."""
        return tuple(self._steps)

    @property
    def operators(self) -> dict[str, str]:
        """Operator name by fully qualified step ID, nested steps included."""
        return dict(self._operators)

    def _inside(self, path: str) -> "Dataflow":
        """The same dataflow as an operator at `path` sees it."""
        view = copy.copy(self)
        view._path = path
        return view

    def __repr__(self) -> str:
        return f"Dataflow({self.flow_id!r})"


@dataclasses.dataclass(frozen=True)
class Scope:
    """Where in the nesting of operators a stream is being used."""

    flow: Dataflow
    path: str

    def enter(self, step_id: str, operator_name: str) -> "Scope":
        """The scope inside of a new step, whose ID must be new in this scope."""
        path = f"{self.path}.{step_id}"
        if path in self.flow._operators:
            raise DataflowError(path, "this step ID is used twice", "Give each step its own ID.")
        self.flow._operators[path] = operator_name
        return Scope(self.flow, path)

    def add(self, kind: Kind, *ups: "Stream[Any]", downs: tuple[str, ...] = ("down",)) -> Any:
        """Add the core step that this scope stands for.

        Returns:
            Its only down stream, or the tuple of them; `None` if it has none.
        """
        down_ids = tuple(f"{self.path}.{name}" for name in downs)
        up_ids = tuple(up.stream_id for up in ups)
        self.flow._steps.append(Step(self.path, kind, up_ids, down_ids))
        streams = tuple(Stream[Any](stream_id, self) for stream_id in down_ids)
        if not streams:
            return None
        return streams[0] if len(streams) == 1 else streams


@dataclasses.dataclass(frozen=True)
class Stream(Generic[X_co]):
    """Items that flow from one step to others.

    Args:
        stream_id: Fully qualified ID.
        scope: The operator in which it is used.
    """

    stream_id: str
    scope: Scope

    @property
    def flow(self) -> Dataflow:
        """The dataflow this stream belongs to."""
        return self.scope.flow

    def then(
        self,
        op_fn: Callable[Concatenate[str, "Stream[X_co]", P], R],
        step_id: str,
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> R:
        """Chain an operator: `s.then(op.map, "double", f)` is `op.map("double", s, f)`."""
        return op_fn(step_id, self, *args, **kwargs)


KeyedStream: TypeAlias = Stream[tuple[str, V]]
"""A stream of `(key, value)` 2-tuples whose key is a `str`."""


@overload
def operator(builder: Callable[P, R]) -> Callable[P, R]: ...
@overload
def operator() -> Callable[[Callable[P, R]], Callable[P, R]]: ...
def operator(builder: Callable[P, R] | None = None) -> Any:
    """Make an operator of a function that builds on other operators.

    The function's first parameter is `step_id: str`; streams, the dataflow and all else
    follow. What it returns is a stream, a dataclass or tuple of streams, or `None`.
    Steps that it adds are nested in its own step.

    Raises:
        TypeError: If the first parameter is not `step_id`.

    >>> import engine.operators as op
    >>> from engine.dataflow import Dataflow, Stream, operator
    >>> from engine.testing import TestingSource
    >>> @operator
    ... def plus_two(step_id: str, up: Stream[int]) -> Stream[int]:
    ...     once = op.map("once", up, lambda x: x + 1)
    ...     return op.map("twice", once, lambda x: x + 1)
    >>> flow = Dataflow("nested")
    >>> s = plus_two("plus", op.input("inp", flow, TestingSource([1])))
    >>> [step.step_id for step in flow.steps]
    ['nested.inp', 'nested.plus.once', 'nested.plus.twice']
    """
    if builder is None:
        return operator
    signature = inspect.signature(builder)
    if next(iter(signature.parameters), None) != "step_id":
        msg = f"the first parameter of operator {builder.__name__!r} must be `step_id`"
        raise TypeError(msg)
    name = builder.__name__

    @functools.wraps(builder)
    def build(*args: P.args, **kwargs: P.kwargs) -> R:
        bound = signature.bind(*args, **kwargs)
        step_id = bound.arguments["step_id"]
        outer = _common_scope(name, step_id, bound.arguments)
        _check_name(step_id, f"{outer.path}.{step_id}", "step")
        inner = outer.enter(step_id, name)
        for param, value in bound.arguments.items():
            _check_stream(inner.path, param, value, signature.parameters[param].annotation)
            bound.arguments[param] = _rescope(value, inner)
        return cast("R", _rescope(builder(*bound.args, **bound.kwargs), outer))

    return build


def _check_name(name: object, path: str, what: str) -> None:
    if not isinstance(name, str) or not name or "." in name:
        raise DataflowError(str(path), f"a {what} ID is a non-empty str without '.', not {name!r}")


def _check_stream(path: str, param: str, value: object, annotation: object) -> None:
    """A stream parameter that got something else is the commonest slip of a newcomer."""
    text = annotation if isinstance(annotation, str) else str(annotation)
    wants_stream = param.startswith("up") and "Stream[" in text
    values = value if isinstance(value, tuple) else (value,)
    if wants_stream and not all(isinstance(each, Stream) for each in values):
        raise DataflowError(
            path,
            f"`{param}` is a {type(value).__name__}, not a Stream",
            "Pass what an operator like `input` or `map` returned.",
        )


def _common_scope(name: str, step_id: object, arguments: dict[str, Any]) -> Scope:
    scopes = {scope for value in arguments.values() for scope in _scopes(value)}
    if len(scopes) == 1:
        return scopes.pop()
    if not scopes:
        problem = f"`{name}` was given no stream and no dataflow"
        for param, value in arguments.items():
            if param.startswith("up") or param == "flow":
                problem += f"; `{param}` is a {type(value).__name__}"
        raise DataflowError(str(step_id), problem, "Pass what an earlier operator returned.")
    paths = " and ".join(sorted(scope.path for scope in scopes))
    raise DataflowError(str(step_id), f"`{name}` mixes streams of {paths}")


def _scopes(value: object) -> Iterator[Scope]:
    if isinstance(value, (Stream, Dataflow)):
        yield value.scope
    elif isinstance(value, (tuple, list)):
        for each in value:
            yield from _scopes(each)


def _rescope(value: Any, scope: Scope) -> Any:
    if isinstance(value, Stream):
        return dataclasses.replace(value, scope=scope)
    if isinstance(value, Dataflow):
        return value._inside(scope.path)
    # A list without streams is the operator's own business, and may be meant to be shared.
    if isinstance(value, (tuple, list)) and any(True for _ in _scopes(value)):
        members = [_rescope(each, scope) for each in value]
        return type(value)(*members) if hasattr(value, "_fields") else type(value)(members)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        streams = {
            name: _rescope(each, scope)
            for name, each in vars(value).items()
            if isinstance(each, Stream)
        }
        return dataclasses.replace(value, **streams) if streams else value
    return value
