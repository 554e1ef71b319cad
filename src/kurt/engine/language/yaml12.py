"""Plain scalars by the core schema of YAML 1.2: `on`, `no` and `2026-11-21` are text."""

from __future__ import annotations

import math
import re

from kurt.types import JsonScalar

_NULL = frozenset({"", "~", "null", "Null", "NULL"})
_BOOL = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}
_INT = re.compile(r"[-+]?[0-9]+")
_RADIX = re.compile(r"0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?")
_NOT_JSON = re.compile(r"[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)")
_NUMERIC_START = frozenset("+-.0123456789")
_MAX_DIGITS = 1000


def plain_scalar(text: str) -> JsonScalar:
    """The value of an unquoted scalar.

    Raises:
        ValueError: it is a number that JSON cannot hold, such as `.inf`.
    """
    if text in _NULL:
        return None
    if text in _BOOL:
        return _BOOL[text]
    if text[0] not in _NUMERIC_START:
        return text
    return _number(text)


def _number(text: str) -> JsonScalar:
    if _INT.fullmatch(text):
        return int(_limited(text))
    if _RADIX.fullmatch(text):
        return int(_limited(text), 0)
    if _NOT_JSON.fullmatch(text):
        raise ValueError(f"{text!r} is not a number of JSON")
    if _FLOAT.fullmatch(text):
        number = float(text)
        if math.isinf(number):
            raise ValueError(f"{text!r} is too large for a number")
        return number
    return text


def _limited(text: str) -> str:
    if len(text) > _MAX_DIGITS:
        raise ValueError(f"a number of {len(text)} digits is too large")
    return text


def is_plain_string(text: str) -> bool:
    """Whether the unquoted scalar is text (and not a number, a boolean or null)."""
    try:
        return isinstance(plain_scalar(text), str)
    except ValueError:
        return False
