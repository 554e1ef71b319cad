"""The grammar between `${` and `}`: `path ?? path ?? constant`."""

from __future__ import annotations

import json
import re
from typing import Any

_SPACE = re.compile(r"\s*")
_NAME = re.compile(r"[^\W\d][\w-]*")
_KEY = re.compile(r"\.([\w-]+)")
_INDEX = re.compile(r"\[\s*([0-9]{1,9})\s*\]")
_QUOTED_KEY = re.compile(r"""\[\s*("(?:[^"\\]|\\.)*"|'[^']*')\s*\]""")
_SINGLE = re.compile(r"'([^']*)'")
_WORDS = {"true": True, "false": False, "null": None, "True": True, "False": False, "None": None}
_GRAMMAR = 'a reference is `${name.key[0]["key"]}` or `${name ?? default}`'
_MAX_PARTS = 50


class ReferenceSyntaxError(ValueError):
    """A reference is not well formed.

    Attributes:
        hint: the remedy.
    """

    def __init__(self, message: str, hint: str = _GRAMMAR) -> None:
        super().__init__(message)
        self.hint = hint


def read_reference(text: str, position: int) -> tuple[list[tuple[str, tuple[Any, ...]]], int]:
    """Read what follows a `${`.

    Args:
        text: the whole text.
        position: right after the `${`.

    Returns:
        The choices, each `("path", parts)` or `("literal", (value,))`, and the position after the `}`.

    Raises:
        ReferenceSyntaxError: it is not well formed.
    """
    choices: list[tuple[str, tuple[Any, ...]]] = []
    while True:
        choice, position = _choice(text, _skip(text, position), position, is_first=not choices)
        choices.append(choice)
        position = _skip(text, position)
        if text.startswith("}", position):
            return choices, position + 1
        if not text.startswith("??", position):
            raise _unexpected(text, position)
        if choice[0] == "literal":
            raise ReferenceSyntaxError(f"nothing may follow the constant in {_around(text, position)}")
        if len(choices) > _MAX_PARTS:
            raise ReferenceSyntaxError(f"a reference may have {_MAX_PARTS} defaults")
        position += 2


def _choice(
    text: str, position: int, start: int, *, is_first: bool
) -> tuple[tuple[str, tuple[Any, ...]], int]:
    name = _NAME.match(text, position)
    if name and (is_first or name[0] not in _WORDS):
        return _path(text, name)
    if is_first:
        if text.startswith("}", position):
            raise ReferenceSyntaxError("the reference `${}` is empty")
        raise _unexpected(text, max(position, start))
    return _constant(text, position)


def _path(text: str, name: re.Match[str]) -> tuple[tuple[str, tuple[Any, ...]], int]:
    parts: list[str | int] = [name[0]]
    position = name.end()
    while len(parts) <= _MAX_PARTS:
        if key := _KEY.match(text, position):
            parts.append(key[1])
        elif key := _INDEX.match(text, position):
            parts.append(int(key[1]))
        elif key := _QUOTED_KEY.match(text, position):
            parts.append(_quoted(key[1]))
        else:
            return ("path", tuple(parts)), position
        position = key.end()
    raise ReferenceSyntaxError(f"a path may have {_MAX_PARTS} parts")


def _quoted(text: str) -> str:
    if text.startswith("'"):
        return text[1:-1]
    try:
        return str(json.loads(text))
    except ValueError:
        raise ReferenceSyntaxError(f"the key {text} is not well quoted") from None


def _constant(text: str, position: int) -> tuple[tuple[str, tuple[Any, ...]], int]:
    if word := _NAME.match(text, position):
        return ("literal", (_WORDS[word[0]],)), word.end()
    if quoted := _SINGLE.match(text, position):
        return ("literal", (quoted[1],)), quoted.end()
    try:
        value, end = _DECODER.raw_decode(text, position)
    except (ValueError, RecursionError):
        hint = "after `??` comes a path, a quoted text, a number, true, false, null, [] or {}"
        raise ReferenceSyntaxError(f"the default in {_around(text, position)} cannot be read", hint) from None
    return ("literal", (value,)), end


def _refuse_constant(name: str) -> None:
    raise ValueError(name)


_DECODER = json.JSONDecoder(parse_constant=_refuse_constant)


def _skip(text: str, position: int) -> int:
    space = _SPACE.match(text, position)
    return space.end() if space else position


def _around(text: str, position: int) -> str:
    """The reference that `position` stands in, cut to a readable length."""
    start = max(text.rfind("${", 0, position), 0)
    end = text.find("}", position)
    shown = text[start : end + 1 if end != -1 else len(text)]
    return f"`{shown if len(shown) <= 60 else shown[:57] + '...'}`"


def _unexpected(text: str, position: int) -> ReferenceSyntaxError:
    around = _around(text, position)
    if position >= len(text):
        return ReferenceSyntaxError(f"{around} is not closed", "close the reference with `}`")
    found = text[position]
    if found == "[":
        hint = "an index is a number from 0, a key is quoted; compute anything else in a `script` step"
        return ReferenceSyntaxError(f"the bracket in {around} holds neither an index nor a quoted key", hint)
    if found in "+-*/%<>=!|&(":
        hint = f"expressions stand in `when`, `on` and `until`, without `${{}}`; {_GRAMMAR}"
        return ReferenceSyntaxError(f"{around} holds an expression; only a path may stand there", hint)
    return ReferenceSyntaxError(f"unexpected {found!r} in {around}")
