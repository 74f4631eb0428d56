"""Every error that `ctl` raises itself, each with the exit code it ends with.

CtlError                  1   a bug of ours, when raised as it is
└── InstallationError     78  ImportError   what is installed does not fit together
"""

from typing import ClassVar


class CtlError(Exception):
    """Base of all errors of `ctl`; `exit_code` is what it ends with."""

    exit_code: ClassVar[int] = 1


class InstallationError(CtlError, ImportError):
    """A package is missing, or another distribution has put its own in its place."""

    exit_code = 78
