"""A text that fits a regular expression."""

from __future__ import annotations

import re
from importlib import import_module
from typing import Any

_CATEGORIES = {
    "CATEGORY_DIGIT": "0",
    "CATEGORY_SPACE": " ",
    "CATEGORY_WORD": "a",
    "CATEGORY_NOT_DIGIT": "a",
    "CATEGORY_NOT_SPACE": "a",
    "CATEGORY_NOT_WORD": "-",
}
_USUAL = "a0-A _./:@"
"""Characters that are tried where a pattern says only which ones it does not want."""

_LONGEST = 10_000


def fitting(pattern: str) -> str | None:
    """A short text in which the pattern is found, None where none was found."""
    parser: Any = import_module("re._parser")
    try:
        text = "".join(_texts(parser.parse(pattern)))
        return text if len(text) <= _LONGEST and re.search(pattern, text) else None
    except (re.error, KeyError, OverflowError, RecursionError):
        return None  # schemas follow ECMA's rules, which are others here and there


def _texts(parts: Any) -> list[str]:
    return [_text(str(name), value) for name, value in parts]


def _text(name: str, value: Any) -> str:  # noqa: PLR0911 - a table of parts reads best as one list
    """The text for one part of a parsed pattern.

    Raises:
        KeyError: it is a part for which there is no simple text, such as a reference to a group.
    """
    match name:
        case "LITERAL":
            return chr(value)
        case "NOT_LITERAL":
            return next(one for one in _USUAL if one != chr(value))
        case "ANY":
            return "a"
        case "IN":
            return _one_of(value)
        case "MAX_REPEAT" | "MIN_REPEAT" | "POSSESSIVE_REPEAT":
            least, _, inner = value
            return "".join(_texts(inner)) * _bounded(int(least))
        case "SUBPATTERN":
            return "".join(_texts(value[3]))
        case "BRANCH":
            return "".join(_texts(value[1][0]))
        case "ATOMIC_GROUP":
            return "".join(_texts(value))
        case "AT" | "ASSERT" | "ASSERT_NOT":
            return ""
        case _:
            raise KeyError(name)


def _bounded(times: int) -> int:
    if times > _LONGEST:
        raise OverflowError
    return times


def _one_of(members: Any) -> str:
    """A character of a set."""
    wanted = [_member(str(name), value) for name, value in members if str(name) != "NEGATE"]
    if str(members[0][0]) != "NEGATE":
        return wanted[0]
    unwanted = re.compile(f"[{''.join(_spelled(str(name), value) for name, value in members[1:])}]")
    return next(one for one in _USUAL + "äé" if not unwanted.fullmatch(one))


def _member(name: str, value: Any) -> str:
    match name:
        case "LITERAL":
            return chr(value)
        case "RANGE":
            return chr(value[0])
        case _:
            return _CATEGORIES[str(value)]


def _spelled(name: str, value: Any) -> str:
    """A member of a set as it is written."""
    match name:
        case "LITERAL":
            return re.escape(chr(value))
        case "RANGE":
            return f"{re.escape(chr(value[0]))}-{re.escape(chr(value[1]))}"
        case _:
            short = {"DIGIT": "d", "SPACE": "s", "WORD": "w"}
            word = str(value).removeprefix("CATEGORY_")
            return f"\\{short[word.removeprefix('NOT_')].upper() if word.startswith('NOT_') else short[word]}"
