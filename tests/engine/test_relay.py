"""Lines of several processes on one output."""

import contextlib
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.relay import LINE_LIMIT, Lines, Output, Pipe


class Kept(Output):
    """An output that keeps what is written."""

    def __init__(self) -> None:
        super().__init__(2)
        self.data = b""

    def write(self, data: bytes) -> None:
        self.data += data


@pytest.fixture
def pipe():
    read_fd, write_fd = os.pipe()
    yield read_fd, write_fd
    for fd in (read_fd, write_fd):
        with contextlib.suppress(OSError):
            os.close(fd)


@given(st.lists(st.binary(max_size=8) | st.just(b"\n")), st.sampled_from([b"", b"0 | "]))
def test_lines_are_the_same_however_they_were_cut(pieces, prefix):
    output = Kept()
    lines = Lines(output, prefix)
    for piece in pieces:
        lines.write(piece)
        assert output.data == b"" or output.data.endswith(b"\n")
    lines.end()
    whole = b"".join(pieces)
    if whole and not whole.endswith(b"\n"):
        whole += b"\n"
    assert output.data == b"".join(prefix + line + b"\n" for line in whole.split(b"\n")[:-1])


def test_a_single_process_is_passed_on_as_it_writes():
    output = Kept()
    lines = Lines(output, whole=False)
    lines.write(b"half a li")
    assert output.data == b"half a li"
    lines.end()
    assert output.data == b"half a li"


def test_a_line_that_never_ends_is_broken_between_characters():
    output = Kept()
    lines = Lines(output)
    text = ("é" * (LINE_LIMIT // 2) + "x" + "é" * LINE_LIMIT).encode()
    for start in range(0, len(text), 50_000):
        lines.write(text[start : start + 50_000])
    lines.end()
    broken = output.data.decode().splitlines()
    assert "".join(broken).encode() == text
    assert max(len(line.encode()) for line in broken) <= LINE_LIMIT


def test_an_output_nobody_reads_does_not_hold_up_the_writer(pipe):
    read_fd, write_fd = pipe
    output = Output(write_fd)
    data = bytes(range(256)) * 10_000
    output.write(data)
    assert output.is_crowded
    got = b""
    while not output.is_empty:
        got += os.read(read_fd, 1 << 16)
        output.flush()
    assert not output.is_crowded
    os.set_blocking(read_fd, False)
    while len(got) < len(data):
        got += os.read(read_fd, 1 << 16)
    assert got == data
    assert os.get_blocking(write_fd)


def test_an_output_whose_reader_is_gone_drops_all(pipe):
    read_fd, write_fd = pipe
    output = Output(write_fd)
    os.close(read_fd)
    output.write(b"to nobody")
    assert isinstance(output.broken, BrokenPipeError)
    output.write(b"to nobody")
    assert output.is_empty


def test_a_file_takes_all_at_once(tmp_path):
    path: Path = tmp_path / "out"
    with path.open("wb") as file:
        Output(file.fileno()).write(b"x" * 3_000_000)
    assert path.stat().st_size == 3_000_000


def test_a_pipe_ends_with_its_writer(pipe):
    read_fd, write_fd = pipe
    output = Kept()
    end = Pipe(os.dup(read_fd), Lines(output))
    assert not end.read()
    os.write(write_fd, b"one\ntwo")
    assert end.read()
    assert end.is_open
    os.close(write_fd)
    assert not end.read()
    assert not end.is_open
    assert output.data == b"one\ntwo\n"
