"""Turning the text of a setting into its value."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from kurt.config.durations import parse_duration, parse_size

if TYPE_CHECKING:
    from collections.abc import Callable

    from kurt.config.keys import Key

Value = str | int | float | None
"""What a setting can be."""


def convert(key: Key, text: str) -> Value:
    """The value of a known key.

    Returns:
        seconds for a duration, bytes for a size, None for an empty text where the default is empty too.

    Raises:
        ValueError: the text is not legal for the key; the message says what is.
    """
    text = text.strip() or key.default
    if not text:
        return "" if key.kind == "text" else None
    return _CONVERTERS[key.kind](key, text)


def _choice(key: Key, text: str) -> Value:
    value = text.lower()
    if value not in key.choices:
        raise ValueError(f"use one of {', '.join(key.choices)}")
    return value


def _text(_key: Key, text: str) -> Value:
    return text


def _integer(key: Key, text: str) -> Value:
    if not text.isascii() or not text.isdigit():
        raise ValueError("use a whole number")
    return _at_least(key, int(text))


def _number(key: Key, text: str) -> Value:
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise ValueError("use a number such as 5 or 0.25")
    return _at_least(key, number)


def _duration(key: Key, text: str) -> Value:
    try:
        seconds = parse_duration(text)
    except ValueError:
        raise ValueError("use a duration such as 30s, 5m or 1h30m") from None
    return _at_least(key, seconds)


def _size(key: Key, text: str) -> Value:
    try:
        size = parse_size(text)
    except ValueError:
        raise ValueError("use a size such as 500KB, 10MB or 1GiB") from None
    return _at_least(key, size)


def _at_least(key: Key, number: float) -> Value:
    if number < key.minimum:
        raise ValueError(f"the least is {key.minimum}")
    return number


_CONVERTERS: dict[str, Callable[[Key, str], Value]] = {
    "choice": _choice,
    "duration": _duration,
    "integer": _integer,
    "number": _number,
    "path": _text,
    "size": _size,
    "text": _text,
}
