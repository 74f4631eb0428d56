"""Runs what the documentation shows: Python blocks, and consoles that are marked with `run`.

A block that opens with ```python is a whole program; with `title="flow.py"` after it the
program is a file that later blocks of the page find. Of a block that opens with ```console run
each line that begins with `$ ` is run by a shell, must exit with 0, and must print what
stands below it; `...` stands for anything.
"""

import doctest
import re
import shutil
from dataclasses import dataclass
from pathlib import Path

import pytest

from engine import errors
from tests.conftest import Command

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
BLOCK = re.compile(r"^```(\w+)([^\n]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
SHOWN = re.compile(r"^\$ (.+)\n((?:(?!\$ ).*\n)*)", re.MULTILINE)
LINK = re.compile(r"\]\(([^)#\s]+)(?:#([^)\s]+))?\)")


@dataclass(frozen=True)
class Block:
    language: str
    mark: str
    text: str


def blocks(page: Path) -> list[Block]:
    found = BLOCK.findall(page.read_text())
    return [Block(language, mark.strip(), text) for language, mark, text in found]


def by_name(page: Path) -> str:
    return page.name


def test_pages_are_found() -> None:
    assert len(PAGES) > 5


@pytest.mark.parametrize("page", PAGES, ids=by_name)
def test_examples_run_as_shown(
    page: Path, command: Command, flights_csv: Path, tmp_path: Path
) -> None:
    shutil.copytree(ROOT / "examples", tmp_path / "examples")
    (tmp_path / ".data").mkdir()
    (tmp_path / ".data" / "flights.csv").symlink_to(flights_csv)
    for number, block in enumerate(blocks(page)):
        if block.language == "python":
            title = re.fullmatch(r'title="([\w.]+)"', block.mark)
            assert title or not block.mark, f"mark {block.mark!r} is not known"
            program = tmp_path / (title[1] if title else f"block_{number}.py")
            program.write_text(block.text)
            ran = command("python", "-W", "error", program)
            assert ran.returncode == 0, f"{block.text}\n{ran.stderr}"
        elif block.language == "console" and block.mark == "run":
            shown = SHOWN.findall(block.text)
            assert shown, f"no line begins with `$ `:\n{block.text}"
            for line, output in shown:
                ran = command("sh", "-c", f"exec 2>&1; {line}", COLUMNS="100")
                assert ran.returncode == 0, f"$ {line}\n{ran.stdout}"
                matches = doctest.OutputChecker().check_output(
                    output, ran.stdout, doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
                )
                assert matches, f"$ {line}\n{ran.stdout}\nis not what {page.name} shows:\n{output}"


@pytest.mark.parametrize("page", PAGES, ids=by_name)
def test_links_lead_somewhere(page: Path) -> None:
    for target, anchor in LINK.findall(page.read_text()):
        if target.startswith(("http:", "https:")):
            continue
        path = (page.parent / target).resolve()
        assert path.exists(), f"{page.name} links to {target}"
        if anchor:
            headings = re.findall(r"^#+ (.+)$", path.read_text(), re.MULTILINE)
            assert anchor in {slug(heading) for heading in headings}, f"{target}#{anchor}"


def slug(heading: str) -> str:
    """The anchor that code hosts give a heading."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def test_every_page_is_linked_from_the_index() -> None:
    linked = {target for target, _ in LINK.findall((ROOT / "docs" / "index.md").read_text())}
    assert {page.name for page in (ROOT / "docs").glob("*.md")} - {"index.md"} <= linked


@pytest.mark.parametrize(
    ("heading", "program"),
    [
        ("## On this machine: `ctl run`", ["ctl", "run"]),
        ("## One process: `python -m engine.run`", ["python", "-m", "engine.run"]),
    ],
)
def test_every_flag_is_documented_and_no_other(
    heading: str, program: list[str], command: Command
) -> None:
    section = (ROOT / "docs" / "running.md").read_text().partition(heading)[2].partition("\n## ")[0]
    first_cells = "\n".join(re.findall(r"^\| (`-[^|]*)\|", section, re.MULTILINE))
    shown = command(*program, "--help").stdout
    flag = re.compile(r"(?<![\w-])--?[a-z][a-z-]*")
    given_by_hand = {"-m", "-h", "--help"}
    assert (
        set(flag.findall(first_cells)) - given_by_hand == set(flag.findall(shown)) - given_by_hand
    )


def test_every_variable_is_documented_and_no_other(command: Command) -> None:
    page = (ROOT / "docs" / "running.md").read_text()
    shown = command("python", "-m", "engine.run", "--help").stdout
    variable = re.compile(r"ENGINE_[A-Z_]+")
    assert set(variable.findall(page)) == set(variable.findall(shown))


def test_every_exit_code_is_documented() -> None:
    page = (ROOT / "docs" / "running.md").read_text()
    documented = {int(code) for code in re.findall(r"^\| (\d+) \|", page, re.MULTILINE)}
    classes = [each for each in vars(errors).values() if isinstance(each, type)]
    assert {
        each.exit_code for each in classes if issubclass(each, errors.EngineError)
    } <= documented
