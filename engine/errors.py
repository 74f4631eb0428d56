"""Every error the engine raises, each with the exit code it ends a process with.

EngineError                      1   a bug of ours, when raised as it is
├── UsageError                   64  ValueError        wrong arguments
├── FlowLoadError                65  ImportError       the flow cannot be imported
│   └── DataflowError            65  ValueError        the flow is not well formed
├── FlowNotFoundError            66  FileNotFoundError no such file, module or variable
├── PeerUnavailableError         69  ConnectionError   a peer or a port is not there
├── DataflowRuntimeError         70  RuntimeError      user code failed
├── CannotWriteError             73  OSError           output cannot be written
├── PeerLostError                74  ConnectionError   a peer was there and is gone
├── HelloMismatchError           76  ValueError        two processes do not fit together
├── AuthenticationError          77  PermissionError   a peer may not join
├── ConfigurationError           78  ValueError        settings contradict each other
└── InterruptedRunError          130 KeyboardInterrupt is not a base: it must not escape handlers
"""

from collections.abc import Sequence
from typing import ClassVar


class EngineError(Exception):
    """Base of all errors of the engine; `exit_code` is what a process ends with."""

    exit_code: ClassVar[int] = 1


class UsageError(EngineError, ValueError):
    """The command line or the arguments of an API call make no sense together."""

    exit_code = 64


class FlowLoadError(EngineError, ImportError):
    """The module or file that holds the dataflow was found but cannot be loaded."""

    exit_code = 65


class DataflowError(FlowLoadError, ValueError):
    """The dataflow is not well formed.

    Args:
        step_id: Fully qualified ID of the step at fault, or of the dataflow.
        problem: What is wrong with it, as a clause.
        fix: What to do about it, as a sentence, if there is something to say.
    """

    def __init__(self, step_id: str, problem: str, fix: str = "") -> None:
        super().__init__(step_id, problem, fix)
        self.step_id = step_id
        self.problem = problem
        self.fix = fix

    def __str__(self) -> str:
        sentence = f"step {self.step_id!r}: {self.problem}"
        return f"{sentence}. {self.fix}" if self.fix else sentence


class FlowNotFoundError(EngineError, FileNotFoundError):
    """There is no such flow file, module or variable, or no such input file."""

    exit_code = 66


class PeerUnavailableError(EngineError, ConnectionError):
    """A peer never came, or a port cannot be listened on.

    Args:
        problem: What happened, as a sentence.
        missing: Reason by process ID for every peer that is missing.
    """

    exit_code = 69

    def __init__(self, problem: str, missing: dict[int, str] | None = None) -> None:
        super().__init__(problem)
        self.problem = problem
        self.missing = dict(missing or {})

    def __str__(self) -> str:
        return self.problem


class DataflowRuntimeError(EngineError, RuntimeError):
    """User code failed in a step; the user's exception is the `__cause__`.

    Args:
        step_id: Fully qualified ID of the step.
        worker: Index of the worker in the cluster.
        process: ID of the process.
        problem: What the step was doing, as a clause.
    """

    exit_code = 70

    def __init__(self, step_id: str, worker: int, process: int, problem: str) -> None:
        super().__init__(step_id, worker, process, problem)
        self.step_id = step_id
        self.worker = worker
        self.process = process
        self.problem = problem

    def __str__(self) -> str:
        return (
            f"step {self.step_id!r} on worker {self.worker} of process {self.process}: "
            f"{self.problem}"
        )


class CannotWriteError(EngineError, OSError):
    """Output cannot be written: no such folder, no space, nobody who reads it."""

    exit_code = 73


class PeerLostError(EngineError, ConnectionError):
    """A peer that was part of the cluster is gone or silent.

    Args:
        process: ID of the lost process.
        address: Where it was.
        reason: What was seen, as a clause.
    """

    exit_code = 74

    def __init__(self, process: int, address: str, reason: str) -> None:
        super().__init__(process, address, reason)
        self.process = process
        self.address = address
        self.reason = reason

    def __str__(self) -> str:
        return f"lost process {self.process} at {self.address}: {self.reason}"


class HelloMismatchError(EngineError, ValueError):
    """Two processes do not fit together.

    Args:
        differences: One sentence per field, naming both processes and both values.
    """

    exit_code = 76

    def __init__(self, differences: Sequence[str]) -> None:
        super().__init__(*differences)
        self.differences = tuple(differences)

    def __str__(self) -> str:
        return "; ".join(self.differences)


class AuthenticationError(EngineError, PermissionError):
    """A peer could not prove that it belongs to the cluster, or we could not."""

    exit_code = 77


class ConfigurationError(EngineError, ValueError):
    """Settings contradict each other, or would be unsafe."""

    exit_code = 78


class InterruptedRunError(EngineError):
    """The run was ended by SIGINT, in order."""

    exit_code = 130
