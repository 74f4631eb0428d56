"""Every error that `ctl` raises itself, each with the exit code it ends with.

CtlError                      1   a bug of ours, when raised as it is
├── UsageError               64  ValueError         the command line makes no sense
├── FlowError                65                     the flow cannot be loaded
├── NotFoundError            66  FileNotFoundError  no such flow, inventory or deployment
├── UnreachableError         69  ConnectionError    a host, peer or port is not there
├── ProcessFailedError       70                     user code failed
├── CannotWriteError         73  OSError            disk full, root not writable
├── LostError                74  ConnectionError    a connection or process was lost
├── BusyError                75  BlockingIOError    locked by somebody else; try again
├── VersionError             76                     versions differ, or no Python
├── UnauthorisedError        77  PermissionError    host key, login or mesh
├── InventoryError           78  ValueError         the inventory or the configuration is wrong
├── InstallationError        78  ImportError        what is installed does not fit together
├── InterruptedCommandError  130                    Ctrl-C
└── HostsError               (of the first host)    one or more hosts failed, each with its error
"""

from collections.abc import Mapping


class CtlError(Exception):
    """Base of all errors of `ctl`.

    Args:
        problem: What happened, where and why, as a sentence without a full stop.
        fix: What to do next, as a clause; empty if nobody can say.

    Attributes:
        exit_code: What a command ends with.
    """

    exit_code: int = 1

    def __init__(self, problem: str, fix: str = "") -> None:
        super().__init__(problem)
        self.problem = problem
        self.fix = fix

    def __str__(self) -> str:
        """The problem, and what to do about it."""
        return f"{self.problem}; {self.fix}" if self.fix else self.problem


class UsageError(CtlError, ValueError):
    """The command line makes no sense."""

    exit_code = 64


class FlowError(CtlError):
    """The flow cannot be loaded."""

    exit_code = 65


class NotFoundError(CtlError, FileNotFoundError):
    """There is no such flow, inventory or deployment."""

    exit_code = 66


class UnreachableError(CtlError, ConnectionError):
    """A host, a peer or a port is not there."""

    exit_code = 69


class ProcessFailedError(CtlError):
    """User code failed."""

    exit_code = 70


class CannotWriteError(CtlError, OSError):
    """A disk is full, or a folder cannot be written."""

    exit_code = 73


class LostError(CtlError, ConnectionError):
    """A connection or a process was lost."""

    exit_code = 74


class BusyError(CtlError, BlockingIOError):
    """Somebody else holds the lock."""

    exit_code = 75


class VersionError(CtlError):
    """Versions differ, or a host has no Python that will do."""

    exit_code = 76


class UnauthorisedError(CtlError, PermissionError):
    """A host key, a login or a certificate is refused."""

    exit_code = 77


class InventoryError(CtlError, ValueError):
    """The inventory, or another setting, is wrong."""

    exit_code = 78


class InstallationError(CtlError, ImportError):
    """A package is missing, or another distribution has put its own in its place."""

    exit_code = 78


class InterruptedCommandError(CtlError):
    """Ctrl-C ended a command."""

    exit_code = 130


class HostsError(CtlError):
    """One or more hosts failed.

    Args:
        problem: What did not come about.
        failures: The error of each host that failed, by its name, in inventory order.
        outcome: What that means for what runs, as a clause such as `nothing was changed`.
    """

    def __init__(self, problem: str, failures: Mapping[str, CtlError], outcome: str = "") -> None:
        super().__init__(problem)
        self.failures = dict(failures)
        self.outcome = outcome
        first = next(iter(self.failures.values()), None)
        self.exit_code = first.exit_code if first else CtlError.exit_code

    def __str__(self) -> str:
        """A line for the whole, and one or two for each host."""
        lines = [self.problem]
        width = max(map(len, self.failures), default=0)
        for host, error in self.failures.items():
            lines.append(f"  {host:<{width}}  {error.problem}")
            if error.fix:
                lines.append(f"  {'':<{width}}  fix: {error.fix}")
        end = f"exit {self.exit_code}"
        return "\n".join([*lines, f"{end}; {self.outcome}" if self.outcome else end])


BY_EXIT_CODE: Mapping[int, type[CtlError]] = {
    each.exit_code: each
    for each in (
        CtlError,
        UsageError,
        FlowError,
        NotFoundError,
        UnreachableError,
        ProcessFailedError,
        CannotWriteError,
        LostError,
        BusyError,
        VersionError,
        UnauthorisedError,
        InventoryError,
        InterruptedCommandError,
    )
}
"""The class that an exit code stands for, where a host reports an error by its code."""
