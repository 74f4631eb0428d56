"""`ctl check`: whole outputs and exit codes."""

# ruff: noqa: RUF001 - a dash stands in a table for what is not known

from ctl.reports import CheckReport, CheckRow, Problem, Reach


def test_hosts_that_are_fit(run_ctl, fake):
    assert run_ctl("check", "fleet.toml") == (
        "HOST   PYTHON  ENGINE  DISK FREE  CLOCK    OPEN FILES\n"
        "alpha  3.11.2  0.2.0   41 GB      +0.01 s  1024\n"
        "beta   3.11.2  0.2.0   1.0 MB     -0.30 s  65536\n"
        "--- stderr\n"
        "flights: 2 hosts ready; all 2 addresses reached\n"
        "--- exit 0\n"
    )
    assert fake.closed


def test_everything_that_is_wrong_is_said_at_once(run_ctl, fake):
    fake.report = CheckReport(
        (
            CheckRow("alpha", "3.11.2", "0.2.0", 41_000_000, 61.0, 1024),
            CheckRow(
                "beta",
                "3.13.5",
                None,
                0,
                None,
                None,
                (
                    Problem("Python 3.13.5, the others 3.11.2", "set `python` of beta", 76),
                    Problem(
                        "cannot reach alpha at 10.0.0.1:9000: timed out; a firewall may drop it",
                        "",
                        69,
                    ),
                ),
            ),
            CheckRow("gamma", problems=(Problem("no SSH answer in 5 s\nat all", "look", 69),)),
        ),
        (Reach("beta", "alpha", "192.168.1.10:9000", "timed out; a firewall may drop it"),),
        76,
    )
    assert run_ctl("check", "fleet.toml") == (
        "HOST   PYTHON  ENGINE  DISK FREE  CLOCK     OPEN FILES\n"
        "alpha  3.11.2  0.2.0   41 MB      +61.00 s  1024\n"
        "beta   3.13.5  –       0 B        –         –\n"
        "gamma  –       –       –          –         –\n"
        "--- stderr\n"
        "error: flights cannot be deployed\n"
        "  beta   Python 3.13.5, the others 3.11.2\n"
        "         fix: set `python` of beta\n"
        "  beta   cannot reach alpha at 10.0.0.1:9000: timed out; a firewall may drop it\n"
        "  gamma  no SSH answer in 5 s\n"
        "         at all\n"
        "         fix: look\n"
        "exit 76; nothing was changed\n"
        "--- exit 76\n"
    )


def test_ctrl_c(run_ctl, fake):
    fake.report = KeyboardInterrupt()
    text = run_ctl("check", "fleet.toml")
    assert text == "--- stderr\nerror: interrupted; nothing was changed\n--- exit 130\n"


def test_it_does_not_guess(run_ctl, fake):
    assert run_ctl("check").endswith("--- exit 66\n")
    assert not fake.calls
