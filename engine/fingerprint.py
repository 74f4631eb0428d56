"""Digests of a dataflow, by which processes see that they run the same one.

A step's digest covers its ID, its operator, what it is connected to, and the code of the
functions it was given. It covers no values, which may rightly differ by host, such as paths.
"""

import functools
import types
from collections.abc import Iterator
from hashlib import sha256
from typing import Any

from engine.dataflow import Dataflow
from engine.mesh.hello import Fingerprint
from engine.steps import Step

_DIGITS = 12


def fingerprint(flow: Dataflow) -> Fingerprint:
    """Digests of a dataflow and of each of its steps."""
    operators = flow.operators
    steps = []
    for step in flow.steps:
        digest = sha256()
        for part in _of_step(step, operators.get(step.step_id, "")):
            digest.update(part.encode("utf-8", "backslashreplace") + b"\0")
        steps.append((step.step_id, digest.hexdigest()[:_DIGITS]))
    whole = sha256(repr((flow.flow_id, steps)).encode()).hexdigest()[:_DIGITS]
    return Fingerprint(whole, tuple(steps))


def _of_step(step: Step, operator: str) -> Iterator[str]:
    yield from (step.step_id, operator, type(step.kind).__name__, *step.ups, *step.downs)
    for value in step.kind:
        yield from _of_value(value, set())


def _of_value(value: Any, seen: set[int]) -> Iterator[str]:
    if id(value) in seen:
        return
    seen.add(id(value))
    if isinstance(value, types.MethodType):
        yield from _of_value(value.__func__, seen)
    elif isinstance(value, functools.partial):
        for each in (value.func, *value.args, *value.keywords.values()):
            yield from _of_value(each, seen)
    elif isinstance(value, types.FunctionType):
        yield from _of_code(value.__code__)
        for cell in value.__closure__ or ():
            try:
                content = cell.cell_contents
            except ValueError:
                # Not yet assigned: a function that refers to itself, for example.
                continue
            if callable(content):
                yield from _of_value(content, seen)
    elif isinstance(value, (type, types.BuiltinFunctionType, types.MethodDescriptorType)):
        yield value.__qualname__
    else:
        yield type(value).__qualname__


def _of_code(code: types.CodeType) -> Iterator[str]:
    yield from (code.co_name, code.co_code.hex(), repr(code.co_names), repr(code.co_varnames))
    for const in code.co_consts:
        if isinstance(const, types.CodeType):
            yield from _of_code(const)
        elif isinstance(const, frozenset):
            # The order of a set of str differs from process to process.
            yield repr(sorted(map(repr, const)))
        else:
            yield repr(const)
