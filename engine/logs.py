"""Structured logs on stderr: for people on a terminal, one JSON object a line otherwise.

Each line says which process, worker and step it comes from. The worker keeps that current
by setting the attributes of `context`, one attribute store per batch.
"""

import logging
import os
import sys
import threading
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Literal, get_args

from engine.errors import ConfigurationError

Format = Literal["text", "json", "auto"]


class Context(threading.local):
    """What the current thread is working on; each thread has its own.

    Attributes:
        worker: Index of the worker in the cluster.
        step: Fully qualified ID of the step.
    """

    worker: int | None = None
    step: str | None = None

    def place(self) -> Mapping[str, Any]:
        """The attributes of the current thread, and no other's, for any thread to look at."""
        return vars(self)


context = Context()


class TextFormatter(logging.Formatter):
    """Lines like `12:01:02.123 WARNING p0 w1 flow.map: message`, in UTC."""

    def __init__(self, process_id: int) -> None:
        super().__init__()
        self._process = f"p{process_id}"

    def format(self, record: logging.LogRecord) -> str:
        """The line, and the traceback below it if there is one."""
        where = self._process
        if context.worker is not None:
            where += f" w{context.worker}"
        if context.step is not None:
            where += f" {context.step}"
        time = datetime.fromtimestamp(record.created, UTC)
        stamp = f"{time:%H:%M:%S}.{time.microsecond // 1000:03d}"
        line = f"{stamp} {record.levelname} {where}: {record.getMessage()}"
        details = _details(self, record)
        return f"{line}\n{details}" if details else line


class JsonFormatter(logging.Formatter):
    """One JSON object a line: time, level, process, worker, step, logger, message, exc."""

    def __init__(self, process_id: int) -> None:
        super().__init__()
        # A run on a terminal does without it.
        import json

        self._encode = json.JSONEncoder().encode
        self._process = process_id

    def format(self, record: logging.LogRecord) -> str:
        """The object; fields that say nothing are null."""
        time = datetime.fromtimestamp(record.created, UTC).replace(tzinfo=None)
        return self._encode(
            {
                "time": f"{time.isoformat(timespec='milliseconds')}Z",
                "level": record.levelname,
                "process": self._process,
                "worker": context.worker,
                "step": context.step,
                "logger": record.name,
                "message": record.getMessage(),
                "exc": _details(self, record) or None,
            }
        )


class Handler(logging.StreamHandler):  # type: ignore[type-arg]  # generic in stubs only
    """Writes to stderr; a class of its own, so that `configure` knows what it has added."""


def configure(
    process_id: int,
    format: Format | None = None,  # noqa: A002  # the name of the flag and of the variable
    level: str | int | None = None,
) -> None:
    """Send the engine's logs to stderr, and the user's too unless the user has seen to that.

    Call it after the flow was loaded: only then is it known whether the flow has given
    handlers to the root logger, which are left as they are. It may be called again.

    Args:
        process_id: Index of this process in the cluster.
        format: `auto` is text if stderr is a terminal and JSON otherwise; the default is
            that of `ENGINE_LOG_FORMAT`, or `auto`.
        level: Lowest level to show; the default is that of `ENGINE_LOG_LEVEL`, or `INFO`.

    Raises:
        ConfigurationError: If the format or the level does not exist.
    """
    chosen = _format(format or os.environ.get("ENGINE_LOG_FORMAT") or "auto")
    threshold = _level(level if level is not None else os.environ.get("ENGINE_LOG_LEVEL") or "INFO")
    handler = Handler(sys.stderr)
    as_text = chosen == "text" or (chosen == "auto" and sys.stderr.isatty())
    handler.setFormatter(TextFormatter(process_id) if as_text else JsonFormatter(process_id))

    root, engine = logging.getLogger(), logging.getLogger("engine")
    for logger in (root, engine):
        for old in [each for each in logger.handlers if isinstance(each, Handler)]:
            logger.removeHandler(old)
    engine.addHandler(handler)
    engine.setLevel(threshold)
    engine.propagate = False
    _enable(engine)
    if not root.handlers:
        root.addHandler(handler)
        # WARNING is what a root logger starts with; any other level was somebody's choice.
        if root.level in (logging.WARNING, logging.NOTSET):
            root.setLevel(threshold)


def _enable(engine: logging.Logger) -> None:
    """Undo the `disable_existing_loggers` that a flow's own logging set-up has by default."""
    engine.disabled = False
    for name, logger in list(logging.root.manager.loggerDict.items()):
        if name.startswith("engine.") and isinstance(logger, logging.Logger):
            logger.disabled = False


def _details(formatter: logging.Formatter, record: logging.LogRecord) -> str:
    parts = [record.exc_text or ""]
    if record.exc_info and not record.exc_text:
        parts = [formatter.formatException(record.exc_info)]
    if record.stack_info:
        parts.append(formatter.formatStack(record.stack_info))
    return "\n".join(part for part in parts if part)


def _format(value: str) -> str:
    if value not in get_args(Format):
        msg = f"log format {value!r} does not exist; it is one of {', '.join(get_args(Format))}"
        raise ConfigurationError(msg)
    return value


def _level(value: str | int) -> int:
    if isinstance(value, int):
        return value
    names = logging.getLevelNamesMapping()
    if value.upper() not in names:
        msg = f"log level {value!r} does not exist; it is one of {', '.join(names)}"
        raise ConfigurationError(msg)
    return names[value.upper()]
