"""Runs the examples of a Markdown page, so that what it shows is what happens.

A page is one session in one new project; its blocks run from top to bottom:

- ```` ```yaml title="workflows/x.yaml" ```` (any language with a `title`) writes that file into the project;
- ```` ```console ```` runs each line that starts with `$ ` with `sh` and compares what follows with what the command
  printed. `...` stands for anything within a line, a line that is only `...` for any number of lines. A command with
  no output under it may print anything. Each command must exit 0;
- ```` ```python ```` is run by this interpreter in the project and must exit 0; a ```` ```text ```` block right after
  it, if there is one, is compared with what it printed.

HTML comments before a block, unseen by readers, say what differs: `<!-- docs: exit 1 -->` (the exit status of the
block's last command), `<!-- docs: skip REASON -->`. Three stand once in a page: `<!-- docs: empty -->` (begin in an empty folder, not in a
project), `<!-- docs: repository -->` (its commands are for a checkout of this repository and are not run) and
`<!-- docs: site URL FOLDER -->` (that site is served from a folder of this repository, see `tests.support.docs_site`).
A YAML block without a title is a fragment; it must be readable YAML.
"""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass, field
from pathlib import Path

import yaml

FENCE = re.compile(
    r"^(?P<indent> *)```(?P<info>[^`\n]*)\n(?P<body>.*?)^(?P=indent)```\s*$", re.MULTILINE | re.DOTALL
)
DIRECTIVE = re.compile(r"<!--\s*docs:\s*(?P<words>.*?)\s*-->", re.DOTALL)
TITLE = re.compile(r'title="(?P<title>[^"]+)"')
KNOWN = {"console", "python", "yaml", "text", "json", "toml", "sh", "mermaid", "markdown", "sql", "ini", ""}


@dataclass(frozen=True, slots=True)
class Block:
    """One fenced block.

    Attributes:
        language: first word of the info string.
        body: its text.
        line: 1-based line of its first line of text.
        title: file to write, if any.
        exit_code: exit status expected of its last command.
        skip: why it is not run, or None.
        follows: whether nothing but blank lines stands between it and the block before it.
    """

    language: str
    body: str
    line: int
    title: str | None = None
    exit_code: int = 0
    skip: str | None = None
    follows: bool = False


@dataclass(frozen=True, slots=True)
class Command:
    """One command of a console block with the output that the page shows.

    Attributes:
        text: what is given to the shell.
        shown: the lines under it.
        line: 1-based line in the page.
    """

    text: str
    shown: list[str] = field(default_factory=list)
    line: int = 0


def blocks(page: str) -> list[Block]:
    """The fenced blocks of a page with their directives."""
    found: list[Block] = []
    end = 0
    for match in FENCE.finditer(page):
        between = page[end : match.start()]
        found.append(_block(match, between, page[: match.start("body")].count("\n") + 1, first=end == 0))
        end = match.end()
    return found


def is_repository_page(page: str) -> bool:
    """Whether the page's commands are for a checkout of this repository."""
    return any(match["words"] == "repository" for match in DIRECTIVE.finditer(page))


def begins_empty(page: str) -> bool:
    """Whether the page begins in an empty folder, which it makes a project itself."""
    return any(match["words"] == "empty" for match in DIRECTIVE.finditer(page))


def site(page: str) -> tuple[str, str] | None:
    """The address and the folder of the site that the page's commands work on."""
    for match in DIRECTIVE.finditer(page):
        kind, *words = match["words"].split()
        if kind == "site":
            address, folder = words
            return address, folder
    return None


def commands(block: Block) -> list[Command]:
    """The commands of a console block."""
    found: list[Command] = []
    for offset, line in enumerate(block.body.splitlines()):
        if line.startswith("$ "):
            found.append(Command(line[2:], [], block.line + offset))
        elif not found:
            raise AssertionError(f"line {block.line + offset}: a console block starts with `$ command`")
        elif not found[-1].shown and found[-1].text.endswith("\\"):
            found[-1] = Command(f"{found[-1].text}\n{line}", [], found[-1].line)
        else:
            found[-1].shown.append(line)
    return found


def shown_matches(shown: list[str], printed: str) -> bool:
    """Whether the output that a page shows fits what was printed."""
    parts = [_line_pattern(line) for line in shown]
    pattern = "".join(parts)
    return re.fullmatch(pattern, _normal(printed)) is not None


def check_fragment(block: Block) -> None:
    """Fail if a YAML fragment is not YAML."""
    yaml.safe_load(block.body)


def write_file(block: Block, project: Path) -> None:
    """Write the file that a titled block shows."""
    assert block.title is not None
    target = (project / block.title).resolve()
    assert target.is_relative_to(project.resolve()), (
        f"line {block.line}: {block.title} is outside of the project"
    )
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(block.body, encoding="utf-8")


def _block(match: re.Match[str], between: str, line: int, *, first: bool) -> Block:
    """One block from its fence and the text before it."""
    info = match["info"].strip()
    language = info.split()[0] if info else ""
    assert language in KNOWN, f"line {line}: unknown language {language!r} of a block"
    title = TITLE.search(info)
    exit_code, skip = 0, None
    for directive in DIRECTIVE.finditer(between):
        words = shlex.split(directive["words"])
        if words[0] == "exit":
            exit_code = int(words[1])
        elif words[0] == "skip":
            skip = directive["words"].removeprefix("skip").strip()
            assert skip, f"line {line}: `docs: skip` needs a reason"
        else:
            assert words[0] in {"repository", "empty", "site"}, (
                f"line {line}: unknown directive {directive['words']!r}"
            )
    body = "".join(row.removeprefix(match["indent"]) for row in match["body"].splitlines(keepends=True))
    follows = not first and not between.strip()
    return Block(language, body, line, title["title"] if title else None, exit_code, skip, follows)


def _line_pattern(line: str) -> str:
    """A line of shown output as a pattern."""
    if line.strip() == "...":
        return r"(?:[^\n]*\n)*?"
    return ".*".join(re.escape(part) for part in _narrow(line).split("...")) + "\n"


def _normal(printed: str) -> str:
    """Output without trailing blanks on lines and blank lines at the end."""
    return "".join(f"{_narrow(line)}\n" for line in printed.rstrip().splitlines())


def _narrow(line: str) -> str:
    """A line in which the width of columns makes no difference."""
    return re.sub(r"(?<=\S)  +", " ", line.rstrip())
