"""How a line of a log is shown."""

import json
from collections.abc import Callable, Mapping

from ctl.logs import LogLine
from ctl.ui.escape import escape
from ctl.ui.redact import redact

_COLOURS = (36, 33, 32, 35, 34)

Format = Callable[[LogLine], str]

_quote = json.JSONEncoder(ensure_ascii=False).encode


def for_people(hosts: Mapping[int, str], *, terminal: bool, colour: bool) -> Format:
    """Make a format with the process and its host before each line.

    Args:
        hosts: Name of the host of each process, by its id.
        terminal: Whether control characters are escaped, since a terminal would obey them.
        colour: Whether each process has a colour.
    """
    digits = len(str(max(hosts, default=0)))
    width = max(map(len, hosts.values()), default=0)
    marks: dict[tuple[int, str], str] = {}

    def mark(process: int, host: str) -> str:
        text = f"{process:>{digits}} {host:<{width}} |"
        code = _COLOURS[process % len(_COLOURS)]
        return f"\x1b[{code}m{text}\x1b[0m " if colour else f"{text} "

    def format_line(line: LogLine) -> str:
        _, host, process, _, text = line
        start = marks.get((process, host))
        if start is None:
            start = marks[process, host] = mark(process, host)
        text = redact(text)
        return f"{start}{escape(text.rstrip()) if terminal else text}\n"

    return format_line


def for_machines(line: LogLine) -> str:
    """A line as a JSON object, on a line of its own."""
    time, host, process, stream, text = line
    # Put together by hand, which is four times as fast; only two of the values need an escape.
    return (
        f'{{"time": "{time}", "host": {_quote(host)}, "process": {process}, '
        f'"stream": "{stream}", "text": {_quote(redact(text))}}}\n'
    )
