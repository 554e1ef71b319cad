"""Plain text: a string as it is, to the byte."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from kurt.app.primitives.codecs.json import dumps, scalar
from kurt.app.primitives.formats import Addition

if TYPE_CHECKING:
    from pathlib import Path

    from kurt.types import Json


def parse(text: str, _source: str) -> str:
    """The text itself."""
    return text


def render(value: Json) -> str:
    """A string as it is, a list one element a line, a mapping as indented JSON."""
    if isinstance(value, str):
        return value
    if isinstance(value, list):
        return "".join(scalar(one) + "\n" for one in value)
    return (dumps(value, indent=2) if isinstance(value, dict) else scalar(value)) + "\n"


def addition(path: Path, value: Json) -> Addition:
    """The text, on a line of its own."""
    return Addition(joint(path) + render(value))


def joint(path: Path) -> str:
    """A newline if the file, which is not empty, does not end with one."""
    with path.open("rb") as file:
        file.seek(-1, os.SEEK_END)
        return "" if file.read(1) == b"\n" else "\n"
