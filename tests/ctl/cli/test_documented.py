"""`docs/ctl.md` says what there is, and nothing else."""

import re

import pytest

from ctl import errors

FLAG = re.compile(r"(?<![\w-])--?[a-z][a-z-]*")
COMMON = {"--accept-new-host-keys", "--connect-timeout"}


@pytest.fixture
def page(repository):
    return (repository / "docs" / "ctl.md").read_text()


@pytest.mark.parametrize("command", ["check", "deploy", "status", "logs"])
def test_every_flag_is_documented_and_no_other(page, run_ctl, command):
    section = page.partition(f"\n## `ctl {command}`")[2].partition("\n## ")[0]
    documented = FLAG.findall("\n".join(re.findall(r"^\| (`-[^|]*)\|", section, re.MULTILINE)))
    options = run_ctl(command, "--help").partition("Options:")[2]
    known = re.findall(r"^  (?:(-\w), )?(--[a-z-]+)", options, re.MULTILINE)
    assert {*documented, "-h", "--help", *COMMON} == {
        name for pair in known for name in pair if name
    }


def test_the_common_flags_are_documented(page):
    section = page.partition("## Options of all")[2].partition("\n## ")[0]
    assert set(FLAG.findall(section)) == COMMON


def test_every_exit_code_is_documented(page):
    section = page.partition("## Exit codes")[2]
    documented = {int(code) for code in re.findall(r"^\| (\d+) \|", section, re.MULTILINE)}
    assert documented == {0, *errors.BY_EXIT_CODE}
