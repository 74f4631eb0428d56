"""Run a dataflow: `python -m engine.run FLOW`.

One process alone, one process of a cluster (`-a` and `-i`), or a local cluster (`-p`).
"""

import atexit
import os
import signal
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from engine.errors import EngineError, InterruptedRunError, UsageError
from engine.options import Options, parse, take_secret

if TYPE_CHECKING:
    from engine.dataflow import Dataflow


class _TerminatedError(BaseException):
    """SIGTERM came before there was anything to put in order; nobody's handler gets it."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Do what the command line says and give the exit code.

    Args:
        arguments: The command line; the default is that of this process.
    """
    options = None
    # The last of all: from there Python puts the default back, which ends with the signal's number.
    atexit.register(signal.signal, signal.SIGTERM, signal.SIG_IGN)
    try:
        signal.signal(signal.SIGTERM, _terminate)
        options = parse(sys.argv[1:] if arguments is None else arguments, os.environ)
        secret = take_secret(options, os.environ)
        return _run(options, secret)
    except _TerminatedError:
        return 0
    except KeyboardInterrupt:
        return InterruptedRunError.exit_code
    except InterruptedRunError as error:
        return error.exit_code
    except Exception as error:
        return _fail(error, options)


def _run(options: Options, secret: bytes | None) -> int:
    if (options.processes or 1) > 1 and not options.check:
        # A single process does without what the launcher needs.
        from engine.launch import launch
        from engine.local import LocalCluster

        code = launch(LocalCluster.of(options))
        _keep_exit_code(code)
        return code
    settings = options.settings(secret)
    _settle_in(options)
    flow = _load(options.flow)
    if options.check:
        sys.stdout.write(f"{_summary(options.flow, flow)}\n")
        return 0
    from engine.run_process import run_process

    code = run_process(flow, settings)
    _keep_exit_code(code)
    return code


def _keep_exit_code(code: int) -> None:
    """Have a SIGTERM that comes when the run is over end this process at once, with the run's code.

    Its peers may have ended it before the signal came.
    """
    from engine.ending import end_at_once

    signal.signal(signal.SIGTERM, lambda *_: end_at_once(code))


def _settle_in(options: Options) -> None:
    """Make this process ready for user code."""
    for name, value in (("FORMAT", options.log_format), ("LEVEL", options.log_level)):
        if value is not None:
            os.environ[f"ENGINE_LOG_{name}"] = value
    for fd in (options.listen_fd, options.report_fd):
        if fd is not None:
            os.set_inheritable(fd, False)
    if options.addresses is not None or options.parent_fd is not None:
        # Somebody keeps or relays the lines of each process, and shows them when they are printed.
        for stream in (sys.stdout, sys.stderr):
            if stream is not None:
                stream.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    if options.parent_fd is not None:
        from engine.lifeline import follow_parent

        follow_parent(options.parent_fd)
        # The launcher has held signals back, so that each meets its handler.
        signal.pthread_sigmask(signal.SIG_UNBLOCK, (signal.SIGINT, signal.SIGTERM))


def _load(text: str) -> "Dataflow":
    if not sys.flags.safe_path:
        # What Python puts there for `-m`; the same modules are found however we are started.
        del sys.path[0]
    from engine.flows import load_flow

    return load_flow(text)


def _summary(text: str, flow: "Dataflow") -> str:
    from engine.plan import compile_plan
    from engine.steps import Input, Output

    plan = compile_plan(flow)
    inputs = sum(isinstance(step.kind, Input) for step in flow.steps)
    outputs = sum(isinstance(step.kind, Output) for step in flow.steps)
    counts = (
        (len(flow.steps), "step"),
        (len(plan.stages), "stage"),
        (inputs, "input"),
        (outputs, "output"),
    )
    parts = ", ".join(f"{n} {noun}" if n == 1 else f"{n} {noun}s" for n, noun in counts)
    return f"{text}: dataflow {flow.flow_id!r} is well formed: {parts}"


def _fail(error: Exception, options: Options | None) -> int:
    """Report what kept the run from starting, or a bug of ours, and give the exit code."""
    if isinstance(error, UsageError):
        sys.stderr.write(f"error: {error}\n")
        return error.exit_code
    # A run that starts does without it.
    from engine.failure import Failure
    from engine.report import report

    failure = Failure.of(error, process=options.process_id or 0 if options else 0)
    report(failure, options.report_fd if options else None)
    return error.exit_code if isinstance(error, EngineError) else EngineError.exit_code


def _terminate(_number: int, _frame: object) -> None:
    raise _TerminatedError


if __name__ == "__main__":
    sys.exit(main())
