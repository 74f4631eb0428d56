"""What a host reports when it cannot do what it was asked for."""

import errno
from typing import Any

_NO_ROOM = (errno.ENOSPC, errno.EDQUOT)


class RemoteError(Exception):
    """An error that the operator is told, with the exit code that it stands for.

    Args:
        exit_code: As the documentation of `ctl` lists them.
        problem: What happened, where and why, as a sentence without a full stop.
        fix: What to do next, as a clause; empty if nobody can say.
    """

    def __init__(self, exit_code: int, problem: str, fix: str = "") -> None:
        super().__init__(problem)
        self.exit_code = exit_code
        self.problem = problem
        self.fix = fix

    def to_json(self) -> dict[str, Any]:
        """What goes over the wire."""
        return {"exit_code": self.exit_code, "problem": self.problem, "fix": self.fix}


UNREACHABLE, FAILED, CANNOT_WRITE, LOST, BUSY = 69, 70, 73, 74, 75


def cannot_write(error: OSError, what: str) -> RemoteError:
    """Why a file or folder could not be written.

    Args:
        error: What the system said.
        what: What was to be written, for people.
    """
    where = f" ({error.filename})" if error.filename else ""
    problem = f"cannot write {what}: {error.strerror or error}{where}"
    if error.errno in _NO_ROOM:
        return RemoteError(CANNOT_WRITE, problem, "free some space there")
    return RemoteError(CANNOT_WRITE, problem, "check the host's `root` in the inventory")
