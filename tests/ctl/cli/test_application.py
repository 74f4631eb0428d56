"""The commands together: their list, their help, and how soon it is there."""

import subprocess
import sys

import pytest

HELP = "from ctl.cli import main; main()"
SLOW = ("rich", "paramiko", "fabric", "cryptography", "cloudpickle", "ctl.deployment")


def test_the_commands_are_listed(run_ctl):
    text = run_ctl("--help")
    assert text.endswith("--- stderr\n--- exit 0\n")
    listed = text.partition("Commands:\n")[2].partition("---")[0]
    names = [line.split()[0] for line in listed.splitlines() if line.strip()]
    assert {"run", "init", "trust", "deploy", "check", "status", "logs", "stop"} <= set(names)


@pytest.mark.parametrize("command", ["deploy", "check", "status", "logs", "stop"])
def test_help_has_examples(run_ctl, command):
    text = run_ctl(command, "--help")
    assert f"\n  ctl {command}" in text
    assert "\b" not in text
    assert text.endswith("--- exit 0\n")


def test_help_imports_nothing_that_is_slow():
    code = (
        "import sys\n"
        "try:\n    " + HELP.replace("; ", "\n    ") + "\n"
        "except SystemExit:\n"
        f"    print('slow:', [name for name in {SLOW!r} if name in sys.modules])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, "--help"],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert done.stdout.endswith("slow: []\n")
