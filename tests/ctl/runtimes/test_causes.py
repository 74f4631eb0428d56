"""Why a process failed, out of its output."""

from ctl.runtimes.base import first_traceback

FIRST = """Traceback (most recent call last):
  File "flow.py", line 3, in refuse
    raise LookupError("no roses")
LookupError: no roses"""


def test_what_follows_the_first_traceback_is_left_out():
    panic = FIRST.replace("LookupError: no roses", "PanicException: Send thread panic")
    assert first_traceback(f"loading\n{FIRST}\nhostmesh: x\n{panic}\n") == FIRST


def test_a_chain_is_one_cause():
    chain = (
        f"{FIRST}\n\nDuring handling of the above exception, another exception occurred:\n\n"
        f"{FIRST.replace('LookupError', 'KeyError')}"
    )
    assert first_traceback(f"{chain}\nend\n") == chain


def test_without_one_it_is_all():
    assert first_traceback("no such file") == "no such file"
