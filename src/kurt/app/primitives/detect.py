"""Telling a format from the text itself, for files whose suffix says nothing and for stdin."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from kurt.app.primitives.formats import FRONT_MATTER, codec
from kurt.errors import DataError

if TYPE_CHECKING:
    from kurt.types import Json

_YAML_START: Final = re.compile(r"(?:\s*(?:#.*)?\n|---[ \t]*\n)*(?:%YAML|-[ \t]|[\w\"'][^\n:]*:(?:\s|\Z))")
_HEADING: Final = re.compile(r"\s*#{1,6} \S")


def parse_any(text: str, source: str) -> Json:
    """The value of a text of unknown format, by what fits first.

    In order: JSON, JSON Lines, Markdown with front matter, YAML that is a mapping or a list, CSV with at least two
    columns and two lines of the same width, Markdown that begins with a heading, plain text.
    """
    for name in ("json", "jsonl"):
        found, value = _tried(name, text, source)
        if found and text.strip():
            return value
    if FRONT_MATTER.match(text):
        return codec("md").parse(text, source)
    if _YAML_START.match(text):
        found, value = _tried("yaml", text, source)
        if found and isinstance(value, dict | list):
            return value
    if _looks_like_csv(text):
        found, value = _tried("csv", text, source)
        if found:
            return value
    return codec("md" if _HEADING.match(text) else "text").parse(text, source)


def _tried(name: str, text: str, source: str) -> tuple[bool, Json]:
    try:
        return True, codec(name).parse(text, source)
    except DataError:
        return False, None


def _looks_like_csv(text: str) -> bool:
    first, _, rest = text.lstrip("\n").partition("\n")
    second = rest.partition("\n")[0]
    return any(first.count(mark) == second.count(mark) > 0 for mark in ",;\t|")
