"""Turning the text of a setting into its value."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from kurt.config.keys import Key

Value = str | int | float | None
"""What a setting can be."""

_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0}
_PART = re.compile(r"(\d{1,12}(?:\.\d{1,9})?)(ms|s|m|h|d|w)")
_DURATION = re.compile(rf"(?:{_PART.pattern})+")
_SECONDS = re.compile(r"\d{1,12}(?:\.\d{1,9})?")
_SIZE = re.compile(r"(\d{1,15})\s*([KMGT]?)(i?)B?", re.IGNORECASE)


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


def _duration(key: Key, text: str) -> Value:
    compact = text.replace(" ", "")
    if _SECONDS.fullmatch(compact):
        return _at_least(key, float(compact))
    if _DURATION.fullmatch(compact) is None:
        raise ValueError("use a duration such as 30s, 5m or 1h30m")
    return _at_least(key, sum(float(number) * _UNITS[unit] for number, unit in _PART.findall(compact)))


def _size(key: Key, text: str) -> Value:
    match = _SIZE.fullmatch(text)
    if match is None:
        raise ValueError("use a size such as 500KB, 10MB or 1GiB")
    power = "KMGT".find(match[2].upper()) + 1 if match[2] else 0
    return _at_least(key, int(match[1]) * (1024 if match[3] else 1000) ** power)


def _at_least(key: Key, number: float) -> Value:
    if number < key.minimum:
        raise ValueError(f"the least is {key.minimum}")
    return number


_CONVERTERS: dict[str, Callable[[Key, str], Value]] = {
    "choice": _choice,
    "duration": _duration,
    "integer": _integer,
    "path": _text,
    "size": _size,
    "text": _text,
}
