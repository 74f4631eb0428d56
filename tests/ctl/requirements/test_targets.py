"""What wheels have to be for."""

import pytest

from ctl.errors import VersionError
from ctl.requirements import Target, targets


def facts(machine="x86_64", libc=("glibc", "2.36"), python=(3, 11, 2)):
    return {"machine": machine, "libc": list(libc), "python": list(python)}


def test_hosts_that_differ_in_glibc_share_the_older_one():
    found = targets({"a": facts(), "b": facts(libc=("glibc", "2.31"))})
    assert found == dict.fromkeys("ab", Target("3.11", "x86_64-manylinux_2_31"))


def test_other_machines_have_their_own():
    found = targets({"a": facts(), "b": facts("aarch64", ("glibc", "2.31"))})
    assert found == {
        "a": Target("3.11", "x86_64-manylinux_2_36"),
        "b": Target("3.11", "aarch64-manylinux_2_31"),
    }


@pytest.mark.parametrize(
    ("libc", "platform"),
    [
        (("glibc", "2.30"), "x86_64-manylinux_2_28"),
        (("glibc", "2.99"), "x86_64-manylinux_2_40"),
        (("", ""), "x86_64-unknown-linux-musl"),
    ],
)
def test_platforms_that_uv_knows(libc, platform):
    assert targets({"a": facts(libc=libc)})["a"].platform == platform


def test_a_machine_without_wheels():
    with pytest.raises(VersionError, match="a: nothing can be required on sparc"):
        targets({"a": facts("sparc")})


def test_it_is_said_for_people():
    assert str(Target("3.11", "x86_64-manylinux_2_36")) == "CPython 3.11 on x86_64 with glibc 2.36"
