"""What each process says first, and how two of them differ."""

import json
import os
import socket
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal, NamedTuple, Self, TypeVar, get_args

from engine.errors import ConfigurationError
from engine.settings import ClusterSettings

PROTOCOL = 1
"""Version of the mesh protocol."""

HELLO_LIMIT = 1 << 18
"""Bytes that a hello may have; what a stranger can make us hold."""

_ADDRESSES_SHOWN = 5

Purpose = Literal["control", "data", "probe"]
Auth = Literal["hmac", "none"]

T = TypeVar("T")


class Fingerprint(NamedTuple):
    """Digests by which two processes see that they run the same dataflow.

    Args:
        flow: Digest of the whole dataflow.
        steps: Step ID and digest of each step, in order.
    """

    flow: str
    steps: tuple[tuple[str, str], ...] = ()


class HelloError(ValueError):
    """A hello that makes no sense."""


def _instance() -> str:
    return os.urandom(16).hex()


def _python() -> str:
    return f"{sys.version_info.major}.{sys.version_info.minor}"


@dataclass(frozen=True)
class Hello:
    """What a process tells about itself when a connection begins.

    Args:
        engine: Version of the engine.
        process: ID of the process.
        workers: Worker threads per process.
        addresses: The ordered address list.
        fingerprint: Of the dataflow.
        cluster: Name that all processes of the cluster share.
        store: ID of the recovery store, if there is one.
        generation: The highest generation that the process has seen.
        protocol: Version of the mesh protocol.
        python: Major and minor version of Python.
        host: Name of the machine.
        pid: Its process there.
        instance: Tells two processes apart that have the same ID.
        purpose: What the connection is for; the dialer decides.
        to: The process that the dialer wants to reach.
        auth: How this side proves that it belongs here, `hmac` or `none`.
        nonce: Makes each connection's proof its own.
    """

    engine: str
    process: int
    workers: int
    addresses: tuple[str, ...]
    fingerprint: Fingerprint
    cluster: str = ""
    store: str | None = None
    generation: int = 0
    protocol: int = PROTOCOL
    python: str = field(default_factory=_python)
    host: str = field(default_factory=socket.gethostname)
    pid: int = field(default_factory=os.getpid)
    instance: str = field(default_factory=_instance)
    purpose: Purpose = "control"
    to: int | None = None
    auth: Auth = "none"
    nonce: str = ""

    @classmethod
    def of(
        cls,
        settings: ClusterSettings,
        *,
        engine: str,
        fingerprint: Fingerprint,
        store: str | None = None,
        generation: int = 0,
    ) -> Self:
        """The hello of a process with these settings."""
        return cls(
            engine=engine,
            process=settings.process_id,
            workers=settings.workers,
            addresses=tuple(map(str, settings.addresses)),
            fingerprint=fingerprint,
            cluster=settings.cluster_id,
            store=store,
            generation=generation,
        )

    def for_connection(self, auth: Auth) -> Self:
        """The same hello for one connection, with a nonce of its own."""
        return replace(self, auth=auth, nonce=os.urandom(32).hex())

    def encode(self) -> bytes:
        """As it travels.

        Raises:
            ConfigurationError: If it is longer than a peer would read.
        """
        body = json.dumps(asdict(self), separators=(",", ":")).encode()
        if len(body) > HELLO_LIMIT:
            msg = (
                f"the hello of process {self.process} has {len(body)} bytes and may have "
                f"{HELLO_LIMIT}: the dataflow has too many steps or the cluster too many addresses"
            )
            raise ConfigurationError(msg)
        return body

    @classmethod
    def decode(cls, body: bytes) -> Self:
        """Read what a peer has sent.

        Raises:
            HelloError: If it is no hello.
        """
        try:
            data = json.loads(body)
        except (ValueError, RecursionError):
            msg = "it is not JSON"
            raise HelloError(msg) from None
        if not isinstance(data, dict):
            msg = "it is not an object"
            raise HelloError(msg)
        hello = cls(
            engine=_take(data, "engine", str),
            process=_take(data, "process", int),
            workers=_take(data, "workers", int),
            addresses=_texts(_take(data, "addresses", list), "addresses"),
            fingerprint=_fingerprint(_take(data, "fingerprint", list)),
            cluster=_take(data, "cluster", str),
            store=_take_optional(data, "store", str),
            generation=_take(data, "generation", int),
            protocol=_take(data, "protocol", int),
            python=_take(data, "python", str),
            host=_take(data, "host", str),
            pid=_take(data, "pid", int),
            instance=_take(data, "instance", str),
            purpose=_take(data, "purpose", str),  # type: ignore[arg-type]  # checked below
            to=_take_optional(data, "to", int),
            auth=_take(data, "auth", str),  # type: ignore[arg-type]  # checked below
            nonce=_take(data, "nonce", str),
        )
        if hello.purpose not in get_args(Purpose) or hello.auth not in get_args(Auth):
            msg = f"purpose {_shown(hello.purpose)} or auth {_shown(hello.auth)} is not known"
            raise HelloError(msg)
        if not 0 <= hello.process < len(hello.addresses):
            msg = f"process {hello.process} is not in its list of {len(hello.addresses)} addresses"
            raise HelloError(msg)
        return hello

    def __str__(self) -> str:
        return f"process {self.process} (host {_shown(self.host)}, pid {self.pid})"


def differences(one: Hello, other: Hello) -> list[str]:
    """Why two processes do not fit together; the same sentences whichever comes first.

    Each names the field, both processes and both values.
    """
    low, high = sorted((one, other), key=lambda hello: (hello.process, hello.instance))
    return list(_differences(low, high))


def _differences(low: Hello, high: Hello) -> Iterator[str]:
    for name, title in (
        ("protocol", "mesh protocols"),
        ("engine", "engine versions"),
        ("python", "Python versions"),
        ("cluster", "cluster ids"),
        ("workers", "workers per process"),
    ):
        one, other = getattr(low, name), getattr(high, name)
        if one != other:
            yield _differ(title, low, _shown(one), high, _shown(other))
    yield from _address_differences(low, high)
    for dialer, answerer in ((low, high), (high, low)):
        if dialer.to is not None and dialer.to != answerer.process:
            yield (
                f"addresses differ: where process {dialer.process} expects process {dialer.to}, "
                f"process {answerer.process} answers"
            )
    if low.fingerprint != high.fingerprint:
        digests = (_shown(hello.fingerprint.flow) for hello in (low, high))
        sentence = _differ("dataflows", low, next(digests), high, next(digests))
        yield f"{sentence}; {_first_step(low, high)}"
    if low.store != high.store:
        stores = ("none" if hello.store is None else _shown(hello.store) for hello in (low, high))
        yield _differ("recovery stores", low, next(stores), high, next(stores))


def _differ(title: str, low: Hello, one: str, high: Hello, other: str) -> str:
    return f"{title} differ: process {low.process} has {one}, process {high.process} has {other}"


def _address_differences(low: Hello, high: Hello) -> Iterator[str]:
    counts = len(low.addresses), len(high.addresses)
    if counts[0] != counts[1]:
        one, other = (f"{count} addresses" for count in counts)
        yield _differ("address lists", low, one, high, other)
    pairs = enumerate(zip(low.addresses, high.addresses, strict=False))
    different = [(index, one, other) for index, (one, other) in pairs if one != other]
    for index, one, other in different[:_ADDRESSES_SHOWN]:
        yield _differ(f"addresses of process {index}", low, _shown(one), high, _shown(other))
    if len(different) > _ADDRESSES_SHOWN:
        yield f"{len(different) - _ADDRESSES_SHOWN} more addresses differ"


def _first_step(low: Hello, high: Hello) -> str:
    steps, others = low.fingerprint.steps, high.fingerprint.steps
    for index, (step, other) in enumerate(zip(steps, others, strict=False)):
        if step[0] != other[0]:
            return (
                f"their first different step is number {index + 1}: {_shown(step[0])} in process "
                f"{low.process}, {_shown(other[0])} in process {high.process}"
            )
        if step != other:
            return f"the first step that differs is {_shown(step[0])}"
    if len(steps) == len(others):
        return "their steps are the same, but not how they are connected"
    longer, shorter = (low, high) if len(steps) > len(others) else (high, low)
    extra = longer.fingerprint.steps[len(shorter.fingerprint.steps)][0]
    return f"the first step that process {shorter.process} lacks is {_shown(extra)}"


def _shown(value: str | int) -> str:
    """A value of a peer for a sentence: on one line, and not too long."""
    text = repr(value)
    return text if len(text) <= 200 else f"{text[:200]}…"


def _take(data: dict[str, Any], name: str, kind: type[T]) -> T:
    value = data.get(name)
    if type(value) is not kind:
        msg = f"its {name} is not of type {kind.__name__}"
        raise HelloError(msg)
    return value


def _take_optional(data: dict[str, Any], name: str, kind: type[T]) -> T | None:
    return None if data.get(name) is None else _take(data, name, kind)


def _texts(values: list[Any], name: str) -> tuple[str, ...]:
    if not all(type(value) is str for value in values):
        msg = f"its {name} are not all of type str"
        raise HelloError(msg)
    return tuple(values)


def _fingerprint(values: list[Any]) -> Fingerprint:
    match values:
        case [str(flow), [*steps]]:
            pairs = [_texts(step, "steps") for step in steps if type(step) is list]
            if len(pairs) == len(steps) and all(len(pair) == 2 for pair in pairs):
                return Fingerprint(flow, tuple((pair[0], pair[1]) for pair in pairs))
    msg = "its fingerprint makes no sense"
    raise HelloError(msg)
