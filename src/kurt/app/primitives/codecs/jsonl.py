"""JSON Lines: one JSON value a line."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kurt.app.primitives.codecs.json import dumps, parse_at
from kurt.app.primitives.codecs.text import joint
from kurt.app.primitives.formats import Addition

if TYPE_CHECKING:
    from pathlib import Path

    from kurt.types import Json


def parse(text: str, source: str) -> list[Json]:
    """The values of the lines; blank lines are left out."""
    # Not `splitlines`: it also breaks at characters that JSON strings may hold, such as U+2028.
    lines = enumerate(text.split("\n"), start=1)
    return [parse_at(line, source, line=number) for number, line in lines if line.strip()]


def render(value: Json) -> str:
    """A list as one line for each element, anything else as one line."""
    values = value if isinstance(value, list) else [value]
    return "".join(dumps(one) + "\n" for one in values)


def addition(path: Path, value: Json) -> Addition:
    """The lines of the value, on lines of their own."""
    return Addition(joint(path) + render(value))
