"""Documents in parts that a person can read at a glance, along their headings and paragraphs."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

LONGEST: Final = 1200
"""Characters of a passage; only a paragraph that is longer by itself may have more."""

_LIMIT: Final = 6000
_HEADING: Final = re.compile(r" {0,3}#{1,6}(?:[ \t]+(.*?))?[ \t#]*")
_LINK: Final = re.compile(r"!?\[([^\]\[]*)\]\([^()\s]*(?: \"[^\"]*\")?\)")
_FENCE: Final = re.compile(r" {0,3}(`{3,}|~{3,})")


@dataclass(frozen=True, slots=True)
class Passage:
    """A part of a document.

    Attributes:
        heading: the text of the heading that it stands under, None at the beginning.
        text: its Markdown.
    """

    heading: str | None
    text: str


def passages(markdown: str) -> list[Passage]:
    """The parts of a text, in its order; every word of the text is in one of them, or is a heading."""
    found: list[Passage] = []
    heading: str | None = None
    gathered: list[str] = []
    for block in _blocks(markdown):
        head = _HEADING.fullmatch(block)
        if head or (gathered and _length(gathered) + len(block) > LONGEST):
            found += _joined(heading, gathered)
            gathered = []
        if head:
            heading = head[1] or None
            continue
        gathered.append(block)
    found += _joined(heading, gathered)
    return found or [Passage(heading, "")]


def excerpt(text: str, words: Sequence[str], width: int = 240) -> str:
    """A short piece of a passage on one line, where most of the words stand; links are shown by their texts.

    Args:
        text: the passage.
        words: what was searched for, as words or beginnings of words, in lower case.
        width: characters at most.
    """
    line = " ".join(_LINK.sub(r"\1", text).split())
    if len(line) <= width:
        return line
    start = max(0, min(_best_place(line.lower(), words, width) - width // 6, len(line) - width + 1))
    if start:
        start = line.find(" ", start, start + width // 4) + 1 or start
    piece = line[start : start + width - 2]
    if start + len(piece) < len(line):
        piece = piece.rpartition(" ")[0] or piece
        piece += "…"
    return f"…{piece}" if start else piece


def _best_place(line: str, words: Sequence[str], width: int) -> int:
    """Where the stretch begins that has the most different words."""
    if not words:
        return 0
    any_word = re.compile(rf"\b(?:{'|'.join(map(re.escape, words))})")
    places = [(match.start(), match[0]) for match in any_word.finditer(line)]
    best, most = 0, 0
    for number, (start, _) in enumerate(places):
        found = {word for place, word in places[number:] if place < start + width * 3 // 4}
        if len(found) > most:
            best, most = start, len(found)
    return best


def _joined(heading: str | None, blocks: Sequence[str]) -> Iterator[Passage]:
    text = "\n\n".join(blocks)
    for start in range(0, len(text), _LIMIT):
        yield Passage(heading, text[start : start + _LIMIT])


def _length(blocks: Sequence[str]) -> int:
    return sum(len(block) + 2 for block in blocks)


def _blocks(markdown: str) -> Iterator[str]:
    """Paragraphs, headings, and code between fences as a whole."""
    block: list[str] = []
    fence = ""
    for line in markdown.split("\n"):
        mark = _FENCE.match(line)
        if fence:
            block.append(line)
            if mark and mark[1].startswith(fence) and not line.strip(" `~"):
                fence = ""
            continue
        is_heading = _HEADING.fullmatch(line) is not None
        if (is_heading or not line.strip()) and block:
            yield "\n".join(block)
            block = []
        if is_heading:
            yield line
        elif line.strip():
            block.append(line)
            fence = mark[1] if mark else ""
    if block:
        yield "\n".join(block)
