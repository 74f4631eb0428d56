"""What `uv` says, and what is made of it."""

from pathlib import Path

import pytest

from ctl.errors import CtlError, InventoryError, NotFoundError, UnreachableError, VersionError
from ctl.requirements import Target, Wanted
from ctl.requirements.explaining import explain

NO_ABI = """error: No solution found when resolving dependencies
  cause: Because bytewax==0.21.1 has no wheels with a matching Python ABI tag (e.g., `cp313`) and \
you require bytewax==0.21.1, we can conclude that your requirements are unsatisfiable.
"""
HINT = """
hint: You require CPython 3.13 (`cp313`), but we only found wheels for `bytewax` (v0.21.1) with \
the following Python ABI tags: `cp38`, `cp39`, `cp310`, `cp311`, `cp312`
"""
WANTED = Wanted("x", "inventory.toml:4", Path("/"))
TARGET = Target("3.13", "x86_64-manylinux_2_36")


def explained(text: str, *others: str) -> CtlError:
    return explain(text, WANTED, TARGET, others.__contains__)


def test_the_pythons_that_would_do_are_read():
    error = explained(NO_ABI + HINT)
    assert isinstance(error, VersionError)
    assert str(error) == (
        "no wheel of bytewax 0.21.1 for CPython 3.13; Python 3.11 and 3.12 would do; "
        'python = "python3.12"'
    )


def test_the_pythons_that_would_do_are_tried_where_they_are_not_said():
    assert "Python 3.12 would do" in str(explained(NO_ABI, "3.12"))
    assert explained(NO_ABI).fix == "require another version of it"


@pytest.mark.parametrize(
    ("text", "kind", "problem"),
    [
        (
            "cause: Because bytewax==0.21.1 has no wheels with a matching platform tag (e.g., "
            "`musllinux_1_2_x86_64`) and you require bytewax==0.21.1\n\n"
            "hint: Wheels are available for `bytewax` (v0.21.1) on the following platforms: "
            "`manylinux_2_31_x86_64`, `win_amd64`",
            VersionError,
            "no wheel of bytewax 0.21.1 for CPython 3.13 on x86_64 with glibc 2.36; there are "
            "some for manylinux_2_31_x86_64",
        ),
        (
            "cause: Because all versions of docopt have no usable wheels and you require docopt\n"
            "hint: Wheels are required for `docopt` because building from source is disabled",
            InventoryError,
            "docopt needs building: the package index has no wheel of it",
        ),
        (
            "cause: Because nosuch was not found in the package registry and you require nosuch",
            NotFoundError,
            "the package index has no nosuch",
        ),
        (
            "cause: Because there is no version of bytewax==0.99 and you require bytewax==0.99",
            NotFoundError,
            "there is no bytewax 0.99",
        ),
        (
            "error: Failed to fetch: `https://pypi.org/simple/x/`\n"
            "  cause: error sending request for url (https://pypi.org/simple/x/)",
            UnreachableError,
            "the package index cannot be reached",
        ),
        (
            "cause: Because you require numpy==2.4.6 and numpy==2.1.0, we can conclude that your "
            "requirements are unsatisfiable.",
            InventoryError,
            "the requirements cannot be had together: ",
        ),
        ("error: Couldn't parse requirement", InventoryError, "the requirements cannot be had: "),
    ],
)
def test_each_case_has_its_own_message(text, kind, problem):
    error = explained(text)
    assert type(error) is kind
    assert error.problem.startswith(problem)
    assert error.fix
