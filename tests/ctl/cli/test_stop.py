"""`ctl stop`: whole outputs and exit codes."""

from ctl.errors import HostsError, NotFoundError, UnreachableError
from ctl.reports import Stopped


def test_all_have_stopped(run_ctl, fake):
    assert run_ctl("stop", "fleet.toml") == (
        "--- stderr\nflights stopped: 2 processes\n--- exit 0\n"
    )
    assert fake.calls[-1] == ("stop", {"grace": 60.0})
    assert fake.closed


def test_some_had_ended_before(run_ctl, fake):
    fake.stopped = Stopped({0: "stopped", 1: "finished", 2: "stopped"}, 0)
    assert run_ctl("stop", "fleet.toml", "--grace", "0.5") == (
        "--- stderr\nflights: 3 processes: 1 finished, 2 stopped\n--- exit 0\n"
    )
    assert fake.calls[-1] == ("stop", {"grace": 0.5})


def test_a_host_that_does_not_answer(run_ctl, fake):
    failures = {"beta": UnreachableError("no SSH answer in 10 s", "look after beta")}
    problem = "flights not stopped everywhere"
    fake.stopped = HostsError(problem, failures, "all other hosts have stopped")
    assert run_ctl("stop", "fleet.toml") == (
        "--- stderr\n"
        "error: flights not stopped everywhere\n"
        "  beta  no SSH answer in 10 s\n"
        "        fix: look after beta\n"
        "exit 69; all other hosts have stopped\n"
        "--- exit 69\n"
    )


def test_nothing_to_stop(run_ctl, fake):
    fake.stopped = NotFoundError("flights is not deployed on these hosts")
    assert run_ctl("stop", "fleet.toml") == (
        "--- stderr\nerror: flights is not deployed on these hosts\n--- exit 66\n"
    )


def test_ctrl_c(run_ctl, fake):
    fake.stopped = KeyboardInterrupt()
    assert run_ctl("stop", "fleet.toml") == (
        "--- stderr\n"
        "error: interrupted; some processes of flights may go on; look with: ctl status\n"
        "--- exit 130\n"
    )


def test_it_does_not_guess(run_ctl, fake):
    run_ctl("deploy", "fleet.toml", "flow.py")
    assert run_ctl("stop").endswith("--- exit 66\n")


def test_a_grace_below_zero(run_ctl, fake):
    assert run_ctl("stop", "fleet.toml", "--grace", "-1").endswith("--- exit 64\n")
