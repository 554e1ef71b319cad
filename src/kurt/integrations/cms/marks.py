"""Pieces of Markdown that all formats of blocks are turned into."""

from __future__ import annotations

import re
from typing import Any

_EDGES = re.compile(r"^(\s*)(.*?)(\s*)$", re.DOTALL)
_TICKS = re.compile(r"`+")


def marked(text: str, mark: str) -> str:
    """Text between marks such as `**`; space at its ends stays outside, where Markdown needs it."""
    found = _EDGES.match(text)
    if not mark or found is None or not found[2]:
        return text
    return f"{found[1]}{mark}{found[2]}{mark}{found[3]}"


def linked(text: str, url: Any) -> str:
    """Text as a link; without an address it stays text."""
    if not isinstance(url, str) or not url:
        return text
    target = url.replace(" ", "%20").replace("(", "%28").replace(")", "%29")
    return f"[{text or url}]({target})"


def code_block(code: str, language: Any = None) -> str:
    """Code between fences that are longer than any in it."""
    longest = max((len(ticks) for ticks in _TICKS.findall(code)), default=0)
    fence = "`" * max(3, longest + 1)
    name = language if isinstance(language, str) and language != "plain text" else ""
    return f"{fence}{name}\n{code.rstrip()}\n{fence}"


def table(rows: list[list[str]]) -> str:
    """Rows as a table, the first of which is its head."""
    if not rows:
        return ""
    width = max(len(row) for row in rows)
    lines = [_line(row, width) for row in rows]
    return "\n".join([lines[0], _line(["---"] * width, width), *lines[1:]])


def _line(row: list[str], width: int) -> str:
    cells = [cell.replace("|", "\\|").replace("\n", " ").strip() for cell in row] + [""] * (width - len(row))
    return f"| {' | '.join(cells)} |"


def indented(text: str, by: str) -> str:
    """Lines after the first one further in, as what belongs to an item of a list."""
    return text.replace("\n", f"\n{by}")
