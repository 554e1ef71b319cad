"""Markdown: with front matter when read, tables and lists from data when written."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from kurt.app.primitives.codecs import yaml
from kurt.app.primitives.codecs.json import scalar
from kurt.app.primitives.codecs.text import joint
from kurt.app.primitives.formats import FRONT_MATTER, Addition
from kurt.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from kurt.types import Json

_FENCE: Final = re.compile(r" {0,3}(`{3,}|~{3,})")
_HEADING: Final = re.compile(r" {0,3}# +(.+?)(?: +#+)? *$")


def parse(text: str, source: str) -> dict[str, Json]:
    """The front matter, the text behind it, and the title: the front matter's or the first first-level heading."""
    match = FRONT_MATTER.match(text)
    front = _front_matter(match.group(1), source) if match else {}
    content = text[match.end() :].lstrip("\r\n") if match else text
    title = front.get("title")
    return {"front_matter": front, "title": _heading(content) if title is None else title, "content": content}


def render(value: Json) -> str:
    """A string as it is, what `read` gives as it was, mappings as a table, other elements as a list."""
    if isinstance(value, str):
        return value
    if _is_document(value):
        return _document(value)
    if isinstance(value, dict):
        return _table(["key", "value"], [[key, one] for key, one in value.items()])
    values = value if isinstance(value, list) else [value]
    if values and all(isinstance(row, dict) for row in values):
        names = list(dict.fromkeys(name for row in values for name in row))
        return _table(names, [[row.get(name) for name in names] for row in values])
    return "".join(f"- {_indented(scalar(one))}\n" for one in values)


def addition(path: Path, value: Json) -> Addition:
    """More rows where the file ends with a table of the same columns, otherwise a new paragraph."""
    if _is_document(value) and value["front_matter"]:
        raise DataError(
            f"front matter belongs at the start of a file, so it cannot be appended to {path}",
            hint="append its content: ${name.content}",
        )
    text = render(value)
    end = joint(path)
    if not text.startswith("|") or isinstance(value, str):
        return Addition(f"{end}\n{text}")
    header, rule, *rows = text.splitlines(keepends=True)
    last = re.split(r"\n[ \t]*\n", path.read_text(encoding="utf-8-sig").rstrip())[-1].lstrip("\n")
    return Addition(end + "".join(rows) if f"{last}\n".startswith(header + rule) else f"{end}\n{text}")


def _front_matter(text: str, source: str) -> dict[str, Json]:
    # One line in front, so that a fault is reported on the line that it has in the file.
    front = yaml.parse("\n" + text, source)
    if front is None:
        return {}
    if not isinstance(front, dict):
        raise DataError(
            f"{source}:1 has front matter that is not a mapping", hint="write it as `key: value` lines"
        )
    return front


def _heading(content: str) -> str | None:
    fence = ""
    for line in content.splitlines():
        mark = _FENCE.match(line)
        if mark and (not fence or mark.group(1).startswith(fence)):
            fence = "" if fence else mark.group(1)
        heading = None if fence else _HEADING.match(line)
        if heading:
            return heading.group(1)
    return None


def _is_document(value: Json) -> bool:
    """Whether the value has the form in which `read` gives a Markdown file."""
    return (
        isinstance(value, dict)
        and isinstance(value.get("content"), str)
        and isinstance(value.get("front_matter"), dict)
        and value.keys() <= {"front_matter", "title", "content"}
    )


def _document(value: dict[str, Json]) -> str:
    front = value["front_matter"]
    return (f"---\n{yaml.render(front)}---\n\n" if front else "") + value["content"]


def _table(names: Sequence[str], rows: Sequence[Sequence[Json]]) -> str:
    lines = [names, ["---"] * len(names), *rows]
    return "".join("| " + " | ".join(_cell(cell) for cell in line) + " |\n" for line in lines)


def _cell(value: Json) -> str:
    text = scalar(value).replace("\\", "\\\\").replace("|", "\\|")
    return re.sub(r"\r\n|\r|\n", "<br>", text)


def _indented(text: str) -> str:
    return text.replace("\n", "\n  ")
