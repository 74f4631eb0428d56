import io
import os
import subprocess
import sys
from contextlib import redirect_stdout

import pytest

from engine.connectors.stdio import StdOutSink


def test_each_item_is_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    part = StdOutSink().build("flow.out", 0, 1)
    part.write_batch(["a", 1, None])
    part.write_batch(["é" * 5000, "b"])
    part.close()
    assert capsys.readouterr().out == "a\n1\nNone\n" + "é" * 5000 + "\nb\n"


def test_what_stands_in_for_the_output_is_honoured() -> None:
    stand_in = io.StringIO()
    part = StdOutSink().build("flow.out", 0, 1)
    with redirect_stdout(stand_in):
        part.write_batch(["a"])
    assert stand_in.getvalue() == "a\n"


def test_processes_that_share_a_pipe_do_not_tear_lines() -> None:
    program = """if True:
        import sys
        from engine.connectors.stdio import StdOutSink
        from engine.errors import CannotWriteError
        part = StdOutSink().build("flow.out", 0, 1)
        for _ in range(20):
            part.write_batch([sys.argv[1] * 99] * 500)
    """
    reader, writer = os.pipe()
    writers = [
        subprocess.Popen([sys.executable, "-c", program, letter], stdout=writer) for letter in "aé"
    ]
    os.close(writer)
    with os.fdopen(reader, encoding="utf-8") as lines:
        seen = [line.removesuffix("\n") for line in lines]
    assert [process.wait() for process in writers] == [0, 0]
    assert sorted(seen) == ["a" * 99] * 10_000 + ["é" * 99] * 10_000


def test_a_reader_that_goes_away_ends_the_run_with_one_clear_error() -> None:
    program = """if True:
        from engine.connectors.stdio import StdOutSink
        from engine.errors import CannotWriteError
        part = StdOutSink().build("flow.out", 0, 1)
        try:
            while True:
                part.write_batch(["line"] * 1000)
        except CannotWriteError as error:
            raise SystemExit(str(error))
    """
    with subprocess.Popen(
        [sys.executable, "-c", program],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline() == "line\n"
        process.stdout.close()
        errors = process.stderr.read()
    assert errors == "nobody reads the standard output any more\n"
    assert process.returncode == 1
