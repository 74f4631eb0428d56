"""How errors are printed."""

from ctl.errors import CtlError, HostsError, UnreachableError, VersionError
from ctl.ui.errors import render


def test_the_sample_of_the_design():
    failure = VersionError("Python 3.13.5, the others 3.11.2", 'python = "python3.11" for gamma')
    problem = "flights not deployed; release 55d0b1 still runs"
    assert render(HostsError(problem, {"gamma": failure}, "nothing was changed")) == (
        "error: flights not deployed; release 55d0b1 still runs\n"
        "  gamma  Python 3.13.5, the others 3.11.2\n"
        '         fix: python = "python3.11" for gamma\n'
        "exit 76; nothing was changed"
    )


def test_texts_of_several_lines_stay_in_their_column():
    error = HostsError("no", {"a": UnreachableError("one\ntwo", "x\ny"), "bcd": CtlError("z")})
    assert render(error) == (
        "error: no\n  a    one\n       two\n       fix: x\n            y\n  bcd  z\nexit 69"
    )


def test_an_error_of_no_host():
    assert render(CtlError("no\nnever", "do this")) == ("error: no\n       never\n  fix: do this")
    assert render(CtlError("no")) == "error: no"


def test_an_error_inside_of_another_is_one_block():
    inner = HostsError("inner", {"b": CtlError("why")})
    assert render(HostsError("outer", {"a": inner})) == (
        "error: outer\n  a  inner\n       b  why\n     exit 1\nexit 1"
    )
