"""JSON: indented by two, Unicode as it is."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, NoReturn

from kurt.app.primitives.formats import Addition
from kurt.errors import DataError

if TYPE_CHECKING:
    from pathlib import Path

    from kurt.types import Json

_SURROGATES = re.compile("[\ud800-\udfff]")


def parse(text: str, source: str) -> Json:
    """The value of a JSON text; NaN and Infinity are refused, they are not JSON."""
    return parse_at(text, source, line=1)


def parse_at(text: str, source: str, *, line: int) -> Json:
    """Like `parse` for a text that begins on the given line of its source."""
    try:
        return json.loads(text, parse_constant=_refuse_constant)
    except json.JSONDecodeError as error:
        where = f"{source}:{line + error.lineno - 1}:{error.colno}"
        raise DataError(
            f"{where} is not valid JSON: {_lower(error.msg)}", hint="mend the text at that line and column"
        ) from None
    except RecursionError:
        raise DataError(f"{source} is nested too deeply") from None
    except ValueError as error:
        raise DataError(f"{source} is not valid JSON: {_lower(str(error))}") from None


def render(value: Json) -> str:
    """The value as indented JSON with a final newline."""
    return dumps(value, indent=2) + "\n"


def addition(path: Path, value: Json) -> Addition:
    """The old list with the value's elements (or the value itself, if it is no list) behind its own."""
    old = parse(path.read_text(encoding="utf-8-sig"), str(path))
    return Addition(render(extended(old, value, str(path))), keep=False)


def extended(old: Json, value: Json, source: str) -> list[Json]:
    """The old list with the value's elements, or the value itself if it is no list, behind its own.

    Raises:
        DataError: the old content is no list.
    """
    if not isinstance(old, list):
        raise DataError(
            f"{source} holds {_article(old)}, so nothing can be appended to it",
            hint="append to a file that holds a list, or use --format jsonl",
        )
    return [*old, *(value if isinstance(value, list) else [value])]


def dumps(value: Json, *, indent: int | None = None) -> str:
    """The value as JSON text; lone surrogates, which UTF-8 cannot hold, are escaped.

    Raises:
        DataError: it is not a JSON value.
    """
    try:
        text = json.dumps(value, ensure_ascii=False, allow_nan=False, indent=indent)
        return json.dumps(value, indent=indent) if _SURROGATES.search(text) else text
    except (TypeError, ValueError, RecursionError) as error:
        raise DataError(f"the data is not a JSON value: {_lower(str(error))}") from None


def scalar(value: Json) -> str:
    """A value in the middle of text: a string as it is, null empty, everything else as JSON."""
    if value is None:
        return ""
    return value if isinstance(value, str) else dumps(value)


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"the number {name} does not exist in JSON")


def _lower(text: str) -> str:
    return text if text[1:2].isupper() else text[:1].lower() + text[1:]


def _article(value: Json) -> str:
    return "a mapping" if isinstance(value, dict) else "a single value"
