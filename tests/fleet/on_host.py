"""What tests look at on a host; in a container this file itself is run there.

It tells of processes (`processes`) or of the files below a folder (`tree FOLDER`).
"""

import json
import os
import pwd
import stat
import sys
from contextlib import suppress
from pathlib import Path

Row = tuple[int, int, str, list[str]]


def processes() -> list[Row]:
    """Id, parent, user and words of each process that is more than a zombie."""
    rows = []
    for folder in Path("/proc").glob("[0-9]*"):
        # It may end while it is looked at.
        with suppress(OSError):
            words = (folder / "cmdline").read_bytes().rstrip(b"\0").split(b"\0")
            # Parentheses around the name, which may hold anything; then state and parent.
            parent = (folder / "stat").read_text(errors="replace").rpartition(")")[2].split()[1]
            if words != [b""]:
                argv = [word.decode(errors="replace") for word in words]
                rows.append((int(folder.name), int(parent), _name(folder.stat().st_uid), argv))
    return sorted(rows)


def _name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def tree(root: Path) -> str:
    """All that is below a folder, with the text of small files; of layers the names alone."""
    lines = []
    for path in [root, *sorted(root.rglob("*"))]:
        inside = path.relative_to(root).parts
        if inside[:1] == ("layers",) and len(inside) > 2:
            continue
        with suppress(OSError):
            about = path.lstat()
            link = f" -> {path.readlink()}" if path.is_symlink() else ""
            lines.append(f"{stat.filemode(about.st_mode)} {about.st_size:>8} {path}{link}")
            if stat.S_ISREG(about.st_mode) and about.st_size < 1 << 16:
                lines += [f"    | {line}" for line in _text(path)]
    return "\n".join(lines)


def _text(path: Path) -> list[str]:
    data = path.read_bytes()
    return [] if b"\0" in data else data.decode(errors="replace").splitlines()[-200:]


def main() -> None:
    match sys.argv[1:]:
        case ["processes"]:
            print(json.dumps([row for row in processes() if row[0] != os.getpid()]))
        case ["tree", folder]:
            print(tree(Path(folder)))


if __name__ == "__main__":
    main()
