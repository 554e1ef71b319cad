"""CSV with a header line: a list of mappings whose values are strings."""

from __future__ import annotations

import csv
import re
from io import StringIO
from typing import TYPE_CHECKING, Final

from kurt.app.primitives.codecs.json import scalar
from kurt.app.primitives.codecs.text import joint
from kurt.app.primitives.formats import Addition
from kurt.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from kurt.types import Json

_DELIMITERS: Final = (",", ";", "\t", "|")


def parse(text: str, source: str) -> list[dict[str, Json]]:
    """The rows as mappings by the header's names; values stay strings, a cell that a short row lacks is null.

    The delimiter is the one of comma, semicolon, tab and bar that the header uses most.
    """
    csv.field_size_limit(max(csv.field_size_limit(), len(text) + 1))
    reader = csv.reader(StringIO(text, newline=""), delimiter=_delimiter(text), strict=True)
    header: list[str] = []
    rows: list[dict[str, Json]] = []
    try:
        for cells in reader:
            if not cells:
                continue
            if not header:
                header = _header(cells, source)
                continue
            _check_width(cells, header, f"{source}:{reader.line_num}")
            rows.append(dict(zip(header, [*cells, *[None] * (len(header) - len(cells))], strict=True)))
    except csv.Error as error:
        raise DataError(f"{source}:{reader.line_num} is not valid CSV: {error}") from None
    return rows


def render(value: Json) -> str:
    """Mappings by the union of their keys, lists as rows without a header, scalars as a column `value`."""
    if _is_table(value):
        return _lines(value)
    rows = _mappings(value)
    names = list(dict.fromkeys(name for row in rows for name in row))
    return _lines([names, *([row.get(name) for name in names] for row in rows)]) if names else ""


def addition(path: Path, value: Json) -> Addition:
    """Rows in the order of the file's own columns; a key without a column is an error, nothing is dropped."""
    with path.open(encoding="utf-8-sig", newline="") as file:
        delimiter = _delimiter(file.readline())
        file.seek(0)
        names = next(csv.reader(file, delimiter=delimiter), [])
    if _is_table(value):
        return Addition(joint(path) + _lines(value, delimiter=delimiter))
    rows = _mappings(value)
    _check_columns(rows, names, path)
    lines = _lines(([row.get(name) for name in names] for row in rows), delimiter=delimiter)
    return Addition(joint(path) + lines)


def _delimiter(text: str) -> str:
    header = text[: text.find("\n")] if "\n" in text else text
    return max(_DELIMITERS, key=header.count)


def _header(cells: list[str], source: str) -> list[str]:
    """The column names; a column without one is called by its place, as files with an index column have it."""
    names = [cell or f"column{number}" for number, cell in enumerate(cells, start=1)]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise DataError(f"{source}:1 has the column {twice[0]!r} more than once", hint="rename one of them")
    return names


def _check_width(cells: list[str], header: list[str], where: str) -> None:
    if len(cells) > len(header):
        raise DataError(
            f"{where} has {len(cells)} cells, the header has {len(header)}",
            hint="quote cells that hold the delimiter",
        )


def _check_columns(rows: list[dict[str, Json]], names: list[str], path: Path) -> None:
    for row in rows:
        for name in row:
            if name not in names:
                raise DataError(
                    f"{path} has no column {name!r}, only {', '.join(map(repr, names))}",
                    hint="read the file, add the rows and write it anew",
                )


def _is_table(value: Json) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(row, list) for row in value)


def _mappings(value: Json) -> list[dict[str, Json]]:
    """The rows of a value: each element that is no mapping becomes one with the key `value`."""
    values = value if isinstance(value, list) else [value]
    return [one if isinstance(one, dict) else {"value": one} for one in values]


def _lines(rows: Iterable[Sequence[Json]], *, delimiter: str = ",") -> str:
    # Not `csv.writer`: before Python 3.13 it leaves a carriage return unquoted, which no reader accepts.
    special = re.compile(f'[{re.escape(delimiter)}"\\r\\n]')
    lines: list[str] = []
    for row in rows:
        cells = [scalar(cell) for cell in row]
        quoted = ['"' + cell.replace('"', '""') + '"' if special.search(cell) else cell for cell in cells]
        lines.append(delimiter.join(quoted) or '""')
    return "".join(line + "\n" for line in lines)
