"""How a session begins: a constant command, and what it reads first.

Nothing of an inventory is part of a command that a shell parses: the interpreter's name and
the program come in lines on stdin, so that there is nothing to quote.
"""

from pathlib import Path

COMMAND = (
    "exec /bin/sh -c 'IFS= read -r mark && IFS= read -r python && IFS= read -r boot || exit 1; "
    'case "$python" in "~/"*) python="$HOME/${python#??}";; esac; '
    'command -v "$python" >/dev/null 2>&1 || { echo; echo "$mark {}"; exit 127; }; '
    'exec "$python" -E -s -S -c "$boot" "$mark"\''
)
"""Run by the login shell of the user, whichever that is: it has no character that is special
to one of them inside of single quotes."""


def first_lines(mark: str, python: str) -> bytes:
    """What the command reads.

    Args:
        mark: A word that no login script prints; our output starts after it.
        python: Name or path of the interpreter, one line.
    """
    # One line, whatever the shell does with line ends.
    boot = f"exec({Path(__file__).with_name('boot.py').read_text(encoding='ascii')!r})"
    return f"{mark}\n{python}\n{boot}\n".encode("utf-8", "surrogateescape")
