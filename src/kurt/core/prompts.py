"""Prompt templates: `{column}` stands for a cell, `{{` and `}}` for braces. What a cell holds is never read as a template."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from string import Formatter
from typing import Any

from kurt.errors import UsageError

_FORMATTER = Formatter()


class PromptTemplate:
    """A prompt with places for cells.

    Args:
        text: the template.
        owner: whose it is, for errors: `step 'extract'`.

    Raises:
        UsageError: its braces do not match.
    """

    def __init__(self, text: str, owner: str) -> None:
        self.text = text
        self._owner = owner
        try:
            self._parts = list(_FORMATTER.parse(text))
        except ValueError as error:
            raise UsageError(
                f"the prompt template of {owner} cannot be read: {error}",
                hint="write {{ and }} for braces that stand for themselves",
            ) from None
        self.names = frozenset(_root(part[1]) for part in self._parts if part[1] is not None)

    def check(self, columns: Collection[str]) -> None:
        """See that every place has a column.

        Raises:
            UsageError: one has none.
        """
        for name in sorted(self.names):
            if name not in columns:
                raise UsageError(
                    f"the prompt template of {self._owner} has a place for {name!r}, which is no input column",
                    hint="add it to input_columns, or write {{ and }} for braces that stand for themselves",
                )

    def render(self, cells: Mapping[str, Any]) -> str:
        """The prompt for one row.

        Raises:
            UsageError: a place has no cell.
        """
        self.check(cells)
        return "".join(
            literal + ("" if name is None else _place(name, spec or "", conversion, cells))
            for literal, name, spec, conversion in self._parts
        )


def _root(name: str) -> str:
    return name.split(".", 1)[0].split("[", 1)[0]


def _place(name: str, spec: str, conversion: str | None, cells: Mapping[str, Any]) -> str:
    value = cells[name] if name in cells else _FORMATTER.get_field(name, (), cells)[0]
    if is_missing(value):
        return ""
    if not spec and not conversion:
        return text_of(value)
    return format(_FORMATTER.convert_field(value, conversion), spec)


def is_missing(value: Any) -> bool:
    """Whether a cell is empty: None, NaN, and what frame libraries have for it."""
    if value is None:
        return True
    if isinstance(value, float):
        return value != value
    return type(value).__name__ in {"NAType", "NaTType"} or (
        hasattr(value, "dtype") and getattr(value, "shape", None) == () and bool(value != value)
    )


def text_of(value: Any) -> str:
    """A cell as text: mappings and lists as JSON, nothing for an empty cell."""
    if isinstance(value, str):
        return value
    if is_missing(value):
        return ""
    if callable(to_list := getattr(value, "tolist", None)):
        value = to_list()
    if isinstance(value, (dict, list, tuple)):
        return json.dumps(value, ensure_ascii=False, default=str)
    return str(value)
