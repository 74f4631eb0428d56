"""Many small texts, few writes."""

import threading
from collections.abc import Callable

import pytest

from ctl.ui.writer import Writer


def test_all_is_written_in_order():
    written: list[str] = []
    with Writer(written.append) as writer:
        for number in range(5000):
            writer.write(f"{number}\n")
    assert "".join(written) == "".join(f"{number}\n" for number in range(5000))
    assert len(written) < 5000


def test_a_text_is_written_without_another_after_it():
    seen = threading.Event()
    with Writer(lambda _: seen.set()) as writer:
        writer.write("text")
        assert seen.wait(10)


def test_nothing_to_write():
    written: list[str] = []
    with Writer(written.append):
        pass
    assert not written


def fail(_: str) -> None:
    raise OSError("disk full")


def write_two(between: Callable[[Writer], object]) -> None:
    with Writer(fail) as writer:
        writer.write("text")
        between(writer)
        writer.write("more")
        raise AssertionError("not reached")


def test_an_error_comes_out_at_the_end():
    with pytest.raises(OSError, match="disk full"), Writer(fail) as writer:
        writer.write("text")


def test_an_error_comes_out_at_a_later_write():
    with pytest.raises(OSError, match="disk full"):
        write_two(lambda writer: writer._thread.join(10))


def test_another_error_goes_before_it():
    with pytest.raises(KeyError):
        write_two(lambda _: dict[str, int]()["nothing"])
