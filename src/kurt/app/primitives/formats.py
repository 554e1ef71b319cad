"""The file formats that the primitives know, and how one is chosen for a file."""

from __future__ import annotations

import re
from dataclasses import dataclass
from importlib import import_module
from pathlib import PurePath
from typing import TYPE_CHECKING, Final, Protocol, cast

from kurt.errors import UsageError

if TYPE_CHECKING:
    from pathlib import Path

    from kurt.types import Json

FORMATS: Final = ("json", "yaml", "csv", "jsonl", "text", "md")
"""Names of the formats, as `--format` takes them."""

PLAIN_TEXT: Final = frozenset({"text", "md"})
"""The formats whose data may be text that is not JSON."""

FRONT_MATTER: Final = re.compile(
    r"---[ \t]*\r?\n(.*?)^(?:---|\.\.\.)[ \t]*(?:\r?\n|\Z)", re.DOTALL | re.MULTILINE
)
"""Front matter at the start of a Markdown text; its YAML is group 1."""

_SUFFIXES: Final = {
    ".json": "json",
    ".yaml": "yaml",
    ".yml": "yaml",
    ".csv": "csv",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".md": "md",
    ".markdown": "md",
    **dict.fromkeys((".txt", ".text", ".log", ".html", ".htm", ".xml", ".svg"), "text"),
}


@dataclass(frozen=True, slots=True)
class Addition:
    """What appending to a file means in its format.

    Attributes:
        text: the text to write.
        keep: True to put it behind the old content, False to put it in its place.
    """

    text: str
    keep: bool = True


class Codec(Protocol):
    """What a module of `kurt.app.primitives.codecs` offers."""

    def parse(self, text: str, source: str, /) -> Json:
        """The value of a text; `source` names it in errors.

        Raises:
            DataError: the text is not of this format; says where.
        """
        ...

    def render(self, value: Json, /) -> str:
        """The value as text.

        Raises:
            DataError: the value cannot be written in this format.
        """
        ...

    def addition(self, path: Path, value: Json, /) -> Addition:
        """How `value` is appended to the file `path`, which exists and is not empty.

        Raises:
            DataError: the file's content and the value do not go together.
        """
        ...


def codec(name: str) -> Codec:
    """The codec of a format.

    Raises:
        UsageError: there is no such format.
    """
    if name not in FORMATS:
        raise UsageError(f"there is no format {name!r}", hint=f"use one of {', '.join(FORMATS)}")
    return cast("Codec", import_module(f"kurt.app.primitives.codecs.{name}"))


def format_by_suffix(path: str | PurePath) -> str | None:
    """The format that a file's suffix stands for, or None."""
    return _SUFFIXES.get(PurePath(path).suffix.lower())
