"""The command line and the environment variables of `python -m engine.run`."""

import argparse
import math
from collections.abc import Callable, Mapping, MutableMapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

from engine import __version__
from engine.errors import ConfigurationError, UsageError
from engine.flows import FORMS
from engine.settings import Address, ClusterSettings, TlsFiles, parse_addresses

_SECRET = "ENGINE_SECRET"  # noqa: S105  # the name of the variable

_SHARED = (
    "epoch_interval",
    "heartbeat_timeout",
    "assemble_timeout",
    "cluster_id",
    "log_format",
    "log_level",
)
"""Fields that are the same for every process of a local cluster."""


class Options(NamedTuple):
    """What `python -m engine.run` was asked to do; `None` where nothing was said.

    Args:
        flow: The FLOW argument.
        check: Only load the flow and compile its plan.
        processes: Size of a local cluster to start.
        workers_per_process: Worker threads in each process.
        process_id: Index of this process in `addresses`.
        addresses: The ordered address list.
        epoch_interval: Seconds from one epoch to the next.
        tls_ca: PEM file of the certificates that sign every process.
        tls_cert: PEM file of this process's certificate.
        tls_key: PEM file of its private key.
        secret_file: File with the shared secret.
        insecure: Whether a mesh beyond loopback may do without TLS.
        bind: Host to listen on.
        heartbeat_timeout: Silence, in seconds, after which a peer is taken for dead.
        assemble_timeout: Seconds to wait for all peers.
        cluster_id: Name that all processes of a cluster share.
        health: Path of a Unix socket, or `host:port`, to answer on.
        log_format: `text`, `json` or `auto`.
        log_level: Lowest level to show.
        listen_fd: Descriptor of a socket that listens already.
        report_fd: Descriptor to write the first failure to.
        parent_fd: Descriptor that reads as ended once the launcher is gone.
    """

    flow: str
    check: bool = False
    processes: int | None = None
    workers_per_process: int | None = None
    process_id: int | None = None
    addresses: tuple[Address, ...] | None = None
    epoch_interval: float | None = None
    tls_ca: Path | None = None
    tls_cert: Path | None = None
    tls_key: Path | None = None
    secret_file: Path | None = None
    insecure: bool | None = None
    bind: str | None = None
    heartbeat_timeout: float | None = None
    assemble_timeout: float | None = None
    cluster_id: str | None = None
    health: str | None = None
    log_format: str | None = None
    log_level: str | None = None
    listen_fd: int | None = None
    report_fd: int | None = None
    parent_fd: int | None = None

    def settings(self, secret: bytes | None) -> ClusterSettings:
        """The settings of this process.

        Raises:
            ConfigurationError: If they contradict each other.
        """
        tls = None
        if self.tls_ca and self.tls_cert and self.tls_key:
            tls = TlsFiles(self.tls_ca, self.tls_cert, self.tls_key)
        said: dict[str, Any] = {
            "addresses": self.addresses,
            "process_id": self.process_id,
            "workers": self.workers_per_process,
            "cluster_id": self.cluster_id,
            "insecure": self.insecure,
            "bind": self.bind,
            "listen_fd": self.listen_fd,
            "heartbeat_timeout": self.heartbeat_timeout,
            "assemble_timeout": self.assemble_timeout,
            "epoch_interval": self.epoch_interval,
            "health": self.health,
            "report_fd": self.report_fd,
        }
        given = {name: value for name, value in said.items() if value is not None}
        return ClusterSettings(secret=secret, tls=tls, **given)

    @property
    def shared_flags(self) -> tuple[str, ...]:
        """What every process of a local cluster is to be told as well."""
        said = {name: getattr(self, name) for name in _SHARED}
        return tuple(
            f"--{name.replace('_', '-')}={value}"
            for name, value in said.items()
            if value is not None
        )


class _Flag(NamedTuple):
    """A flag that is an environment variable as well."""

    words: tuple[str, ...]
    metavar: str
    convert: Callable[[str], Any]
    help: str

    @property
    def name(self) -> str:
        """Name of its field in `Options`."""
        return next(word for word in self.words if word.startswith("--"))[2:].replace("-", "_")

    @property
    def variable(self) -> str:
        return f"ENGINE_{self.name.upper()}"


def _count(text: str) -> int:
    if not text.isascii() or not text.isdigit() or int(text) < 1:
        msg = f"{text!r} is no number from 1"
        raise argparse.ArgumentTypeError(msg)
    return int(text)


def _index(text: str) -> int:
    if not text.isascii() or not text.isdigit():
        msg = f"{text!r} is no number from 0"
        raise argparse.ArgumentTypeError(msg)
    return int(text)


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not 0 <= seconds < math.inf:
        msg = f"{text!r} is no number of seconds"
        raise argparse.ArgumentTypeError(msg)
    return seconds


def _addresses(text: str) -> tuple[Address, ...]:
    try:
        return parse_addresses(text)
    except ConfigurationError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _switch(text: str) -> bool:
    if text.lower() not in ("1", "0", "true", "false", "yes", "no"):
        msg = f"{text!r} is neither 1 nor 0"
        raise argparse.ArgumentTypeError(msg)
    return text.lower() in ("1", "true", "yes")


_FLAGS = (
    _Flag(("-p", "--processes"), "N", _count, "start a local cluster of N processes"),
    _Flag(("-w", "--workers-per-process"), "N", _count, "worker threads in each process; 1"),
    _Flag(("-i", "--process-id"), "N", _index, "which of the addresses is this process's, from 0"),
    _Flag(
        ("-a", "--addresses"),
        "H:P;H:P",
        _addresses,
        "be one process of the cluster whose processes listen there, split by ; or ,",
    ),
    _Flag(
        ("-s", "--epoch-interval", "--snapshot-interval"),
        "S",
        _seconds,
        "seconds from one epoch to the next; 10",
    ),
    _Flag(("--bind",), "HOST", str, "host to listen on, if not that of the own address"),
    _Flag(("--secret-file",), "FILE", Path, f"shared secret; or its text in {_SECRET}"),
    _Flag(("--tls-ca",), "FILE", Path, "mutual TLS: certificates that sign every process"),
    _Flag(("--tls-cert",), "FILE", Path, "mutual TLS: certificate of this process"),
    _Flag(("--tls-key",), "FILE", Path, "mutual TLS: its private key"),
    _Flag(("--insecure",), "", _switch, "allow a mesh beyond loopback without TLS"),
    _Flag(
        ("--heartbeat-timeout",),
        "S",
        _seconds,
        "seconds of silence after which a peer is taken for dead; 30",
    ),
    _Flag(("--assemble-timeout",), "S", _seconds, "seconds to wait for all peers; 300"),
    _Flag(("--cluster-id",), "NAME", str, "name that all processes of the cluster share"),
    _Flag(
        ("--health",),
        "PATH|HOST:PORT",
        str,
        "answer /livez /readyz /status /metrics on this Unix socket or loopback port",
    ),
    _Flag(("--log-format",), "FORMAT", str, "text, json, or auto: text on a terminal; auto"),
    _Flag(("--log-level",), "LEVEL", str, "lowest level to show; INFO"),
)

OWN_VARIABLES = (*(flag.variable for flag in _FLAGS if flag.name not in _SHARED), _SECRET)
"""Environment variables that are for one process, not for those that it launches."""


class _Help(argparse.HelpFormatter):
    """Has a fixed width: to ask for that of the terminal is slow, and asked with each flag."""

    def __init__(self, prog: str) -> None:
        super().__init__(prog, max_help_position=32, width=98)


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        msg = f"{message}; `{self.prog} --help` lists what there is"
        raise UsageError(msg)


def parse(arguments: Sequence[str], environ: Mapping[str, str]) -> Options:
    """Read a command line; a flag goes before its environment variable.

    Raises:
        UsageError: If it makes no sense.
        SystemExit: After `--help` and `--version`, which print.
    """
    said = vars(_parser().parse_args(arguments))
    spelled = {flag.name: flag.words[0] for flag in _FLAGS if said[flag.name] is not None}
    for flag in _FLAGS:
        text = environ.get(flag.variable)
        if text and said[flag.name] is None:
            spelled[flag.name] = flag.variable
            try:
                said[flag.name] = flag.convert(text)
            except argparse.ArgumentTypeError as error:
                msg = f"{flag.variable}: {error}"
                raise UsageError(msg) from None
    options = Options(**said)
    _check(options, spelled)
    return options


def take_secret(options: Options, environ: MutableMapping[str, str]) -> bytes | None:
    """The shared secret; it is removed from the environment, where user code could show it.

    Raises:
        ConfigurationError: If the file is not there, others may read it, or it is empty.
        UsageError: If there are two secrets.
    """
    text = environ.pop(_SECRET, None)
    path = options.secret_file
    if path is None:
        if text == "":
            msg = f"{_SECRET} is empty; set it to the secret, or unset it"
            raise ConfigurationError(msg)
        return None if text is None else text.encode("utf-8", "surrogateescape")
    if text is not None:
        msg = f"--secret-file and {_SECRET} give two secrets; leave out one"
        raise UsageError(msg)
    try:
        with path.open("rb") as file:
            mode = path.stat().st_mode
            secret = file.read().strip()
    except OSError as error:
        msg = f"secret file {path}: {error.strerror}"
        raise ConfigurationError(msg) from None
    if mode & 0o077:
        msg = f"secret file {path} is open to others than its owner; run: chmod 600 {path}"
        raise ConfigurationError(msg)
    if not secret:
        msg = f"secret file {path} is empty; write the secret into it"
        raise ConfigurationError(msg)
    return secret


def _parser() -> _Parser:
    parser = _Parser(
        prog="python -m engine.run",
        description="Run a dataflow: alone, as a local cluster (-p), or as one process of a "
        "cluster (-a and -i).",
        epilog="exit codes: 0 done; 64 usage; 65 the flow cannot be loaded; 66 no such flow; "
        "69 a peer or port is not there; 70 user code failed; 74 a peer was lost; 76 processes "
        "do not fit together; 77 a peer may not join; 78 bad settings; 130 interrupted",
        formatter_class=_Help,
        allow_abbrev=False,
    )
    parser.add_argument("flow", metavar="FLOW", help=FORMS)
    parser.add_argument("--check", action="store_true", help="load and compile the flow only")
    parser.add_argument("--version", action="version", version=f"hostmesh {__version__}")
    for flag in _FLAGS:
        text = f"{flag.help} [{flag.variable}]"
        if flag.convert is _switch:
            parser.add_argument(*flag.words, action="store_const", const=True, help=text)
        else:
            parser.add_argument(*flag.words, metavar=flag.metavar, type=flag.convert, help=text)
    for name in ("--listen-fd", "--report-fd", "--parent-fd"):
        parser.add_argument(name, type=_index, help=argparse.SUPPRESS)
    return parser


def _check(options: Options, spelled: Mapping[str, str]) -> None:
    """Refuse what cannot be meant, in one sentence with a fix.

    Args:
        options: What was asked for.
        spelled: For each field that was given, the flag or the variable that gave it.
    """
    problem = None
    local = [spelled[name] for name in ("addresses", "process_id") if name in spelled]
    needs_mesh = ("bind", "secret_file", "tls_ca", "tls_cert", "tls_key", "insecure")
    alone = [spelled[name] for name in needs_mesh if name in spelled]
    tls = [name for name in ("tls_ca", "tls_cert", "tls_key") if name in spelled]
    if options.processes is not None and local:
        problem = (
            f"{spelled['processes']} starts a whole cluster here and {local[0]} makes one process "
            "of a cluster; leave out one"
        )
    elif options.addresses is not None and not options.addresses:
        problem = f"{spelled['addresses']} lists no address; write host:port;host:port"
    elif options.addresses is not None and options.process_id is None:
        problem = (
            f"{spelled['addresses']} needs -i, which of the addresses is this process's: "
            f"-i 0 to -i {len(options.addresses) - 1}"
        )
    elif options.process_id is not None and options.addresses is None:
        problem = (
            f"{spelled['process_id']} needs -a, the addresses of all processes; "
            "for a cluster on this machine only, use -p"
        )
    elif len(tls) in (1, 2):
        problem = "--tls-ca, --tls-cert and --tls-key go together; give all three or none"
    elif tls and options.insecure:
        problem = f"{spelled['insecure']} gives up the TLS that {spelled['tls_ca']} asks for"
        problem += "; leave out one"
    elif options.addresses is None and alone and alone[0].startswith("-"):
        problem = f"{alone[0]} is for a mesh between hosts; add -a and -i, or leave it out"
    elif options.health is not None and (options.processes or 1) > 1:
        problem = (
            f"{spelled['health']} is one socket and {spelled['processes']} starts several "
            "processes; use `ctl run --health FOLDER`"
        )
    if problem:
        raise UsageError(problem)
