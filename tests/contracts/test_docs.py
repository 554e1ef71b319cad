"""The examples of README.md and docs/ do what the pages say, and their links lead somewhere."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support import docs_runner, docs_site
from tests.support.environment import child_environment
from tests.support.processes import end_executors

ROOT = Path(__file__).parents[2]
PAGES = sorted([ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.md")])
LINK = re.compile(r"(?<!!)\[[^\]]*\]\((?P<target>[^)\s]+)\)")
HEADING = re.compile(r"^#+ +(?P<text>.+?)\s*$", re.MULTILINE)


def name(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


@pytest.fixture
def empty(tmp_path: Path) -> Iterator[Path]:
    """A folder that a page makes a project itself."""
    folder = tmp_path / "empty"
    folder.mkdir()
    yield folder
    end_executors(folder)


@pytest.mark.timeout(300)
@pytest.mark.parametrize("page", PAGES, ids=name)
def test_examples_do_what_the_page_says(page: Path, request: pytest.FixtureRequest, home: Path) -> None:
    text = page.read_text(encoding="utf-8")
    blocks = docs_runner.blocks(text)
    if docs_runner.is_repository_page(text) or not any(_runs(block) for block in blocks):
        _check_fragments(blocks)
        return
    project: Path = request.getfixturevalue("empty" if docs_runner.begins_empty(text) else "project")
    with docs_site.serving(docs_runner.site(text)) as mirror:
        for number, block in enumerate(blocks):
            _perform(block, blocks[number + 1 :], Stage(project, home, page, mirror))


@pytest.mark.conventions
@pytest.mark.parametrize("page", PAGES, ids=name)
def test_links_lead_somewhere(page: Path) -> None:
    text = re.sub(r"^( *)```.*?^\1```", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    broken = [
        target for target in (match["target"] for match in LINK.finditer(text)) if not _leads(page, target)
    ]
    assert not broken, f"{name(page)} links to what does not exist: {broken}"


@pytest.mark.conventions
def test_every_page_can_be_reached_from_the_index() -> None:
    index = ROOT / "docs" / "index.md"
    linked = {
        (index.parent / match["target"].split("#")[0]).resolve() for match in LINK.finditer(index.read_text())
    }
    missing = [name(page) for page in (ROOT / "docs").rglob("*.md") if page != index and page not in linked]
    assert not missing, f"docs/index.md does not link to {missing}"


def _runs(block: docs_runner.Block) -> bool:
    """Whether a block writes a file or runs something."""
    return block.skip is None and (block.title is not None or block.language in {"console", "python"})


def _check_fragments(blocks: list[docs_runner.Block]) -> None:
    for block in blocks:
        if block.language == "yaml" and block.skip is None:
            docs_runner.check_fragment(block)


@dataclass(frozen=True, slots=True)
class Stage:
    """Where a page is played.

    Attributes:
        project: the folder of its commands.
        home: what they take for the user's home.
        page: the page.
        mirror: the site of its commands.
    """

    project: Path
    home: Path
    page: Path
    mirror: docs_site.Mirror


def _perform(block: docs_runner.Block, rest: list[docs_runner.Block], stage: Stage) -> None:
    """Write, run or check one block."""
    if block.skip is not None:
        return
    if block.title is not None:
        docs_runner.write_file(block, stage.project)
    elif block.language == "console":
        _run_console(block, stage)
    elif block.language == "python":
        _run_python(block, rest, stage)
    elif block.language == "yaml":
        docs_runner.check_fragment(block)


def _run_console(block: docs_runner.Block, stage: Stage) -> None:
    found = docs_runner.commands(block)
    for command in found:
        expected = block.exit_code if command is found[-1] else 0
        done = _run(["sh", "-c", stage.mirror.command(command.text)], stage)
        printed = stage.mirror.output(done.stdout)
        place = f"{name(stage.page)}:{command.line}: $ {command.text}"
        assert done.returncode == expected, f"{place}\nexit {done.returncode}, not {expected}\n{printed}"
        if command.shown:
            shown = "\n".join(command.shown)
            assert docs_runner.shown_matches(command.shown, printed), (
                f"{place}\n--- the page shows\n{shown}\n--- it printed\n{printed}"
            )


def _run_python(block: docs_runner.Block, rest: list[docs_runner.Block], stage: Stage) -> None:
    script = stage.project / f"example_line_{block.line}.py"
    script.write_text(block.body, encoding="utf-8")
    done = _run([sys.executable, script.name], stage)
    place = f"{name(stage.page)}:{block.line}"
    assert done.returncode == block.exit_code, f"{place}: exit {done.returncode}\n{done.stdout}"
    if rest and rest[0].language == "text" and rest[0].follows:
        shown = rest[0].body.splitlines()
        assert docs_runner.shown_matches(shown, done.stdout), (
            f"{place}\n--- the page shows\n{rest[0].body}\n--- it printed\n{done.stdout}"
        )
    script.unlink()


def _run(argv: list[str], stage: Stage) -> subprocess.CompletedProcess[str]:
    """Run a program in the project with stdout and stderr as a reader's terminal mixes them."""
    return subprocess.run(
        argv,
        cwd=stage.project,
        env=child_environment(stage.home),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=120,
        check=False,
    )


def _leads(page: Path, target: str) -> bool:
    """Whether a link's target exists: a file, and a heading where one is named."""
    if re.match(r"[a-z]+:", target):
        return True
    path, _, anchor = target.partition("#")
    file = (page.parent / path).resolve() if path else page
    if not file.exists():
        return False
    return not anchor or anchor in {_anchor(match["text"]) for match in HEADING.finditer(file.read_text())}


def _anchor(heading: str) -> str:
    """The anchor that a heading gets on GitHub."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")
