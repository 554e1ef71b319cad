"""Durations and sizes as people write them in files: `1h30m`, `PT5M`, `1GB`."""

from __future__ import annotations

import math
import re

_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0}
_NUMBER = r"\d{1,12}(?:\.\d{1,9})?"
_PART = re.compile(rf"({_NUMBER})\s*(ms|s|m|h|d|w)")
_COMPACT = re.compile(rf"\s*(?:{_NUMBER}\s*(?:ms|s|m|h|d|w)\s*)+")
_PLAIN = re.compile(rf"\s*{_NUMBER}\s*")
_ISO = re.compile(
    rf"P(?=[\dT])(?:({_NUMBER})W)?(?:({_NUMBER})D)?"
    rf"(?:T(?=\d)(?:({_NUMBER})H)?(?:({_NUMBER})M)?(?:({_NUMBER})S)?)?"
)
_ISO_SECONDS = (604800.0, 86400.0, 3600.0, 60.0, 1.0)
_MAX_SECONDS = 10 * 366 * 86400.0

_SIZE = re.compile(r"\s*(\d{1,15}(?:\.\d{1,6})?)\s*([A-Za-z]*)\s*")
_SIZE_UNITS = {
    "": 1,
    "b": 1,
    "k": 10**3,
    "kb": 10**3,
    "kib": 2**10,
    "m": 10**6,
    "mb": 10**6,
    "mib": 2**20,
    "g": 10**9,
    "gb": 10**9,
    "gib": 2**30,
    "t": 10**12,
    "tb": 10**12,
    "tib": 2**40,
}

DURATION_FORMS = "`30s`, `5m`, `1h30m`, `PT5M` or a number of seconds"
SIZE_FORMS = "`512MB`, `1GiB` or a number of bytes"


def parse_duration(value: str | float) -> float:
    """A duration in seconds.

    Args:
        value: `30s`, `1h30m`, `500ms`, an ISO 8601 duration of weeks, days and time (`P1DT2H`), or plain seconds
            as a number or as text.

    Raises:
        ValueError: the text is no duration, or one that is negative or longer than ten years.
    """
    seconds = _seconds(value)
    if seconds is None:
        raise ValueError(f"{value!r} is not a duration; write {DURATION_FORMS}")
    if not 0 <= seconds <= _MAX_SECONDS:
        raise ValueError(f"{value!r} is out of range: a duration lies between 0 seconds and ten years")
    return seconds


def _seconds(value: object) -> float | None:
    if isinstance(value, int | float):
        return float(value) if math.isfinite(value) and not isinstance(value, bool) else None
    if not isinstance(value, str):
        return None
    if _PLAIN.fullmatch(value):
        return float(value)
    if _COMPACT.fullmatch(value):
        return math.fsum(float(number) * _UNITS[unit] for number, unit in _PART.findall(value))
    iso = _ISO.fullmatch(value.strip().upper())
    if iso is None:
        return None
    return math.fsum(
        float(part) * unit for part, unit in zip(iso.groups(), _ISO_SECONDS, strict=True) if part
    )


def format_duration(seconds: float) -> str:
    """The one way Kurt prints durations: `1h30m`, `45s`, `1.5s`, `250ms`."""
    if seconds < 1 and seconds != 0:
        return f"{round(seconds * 1000)}ms"
    if seconds < 60:
        return f"{round(seconds, 1):g}s"
    rest = round(seconds)
    parts: list[str] = []
    for unit, size in (("d", 86400), ("h", 3600), ("m", 60), ("s", 1)):
        count, rest = divmod(rest, size)
        if count:
            parts.append(f"{count}{unit}")
    return "".join(parts)


def parse_size(value: str | int) -> int:
    """A size in bytes; `KB`, `MB`, `GB` are powers of 1000, `KiB`, `MiB`, `GiB` of 1024.

    Raises:
        ValueError: the text is no size.
    """
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return value
    match = _SIZE.fullmatch(value) if isinstance(value, str) else None
    unit = _SIZE_UNITS.get(match[2].lower()) if match else None
    if match is None or unit is None:
        raise ValueError(f"{value!r} is not a size; write {SIZE_FORMS}")
    return round(float(match[1]) * unit)
