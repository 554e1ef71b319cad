"""Durations and times as people write them in options of commands."""

from __future__ import annotations

from datetime import datetime

from kurt.engine.durations import DURATION_FORMS, parse_duration
from kurt.errors import UsageError


def seconds(text: str) -> float:
    """Seconds of a duration such as `10m`.

    Raises:
        UsageError: it is no duration.
    """
    try:
        return parse_duration(text)
    except ValueError:
        raise UsageError(f"{text!r} is not a duration", hint=f"write {DURATION_FORMS}") from None


def instant(text: str) -> datetime:
    """A point in time such as `2026-11-21T07:00:00Z`; one without a zone is the machine's local time.

    Raises:
        UsageError: it is no time.
    """
    try:
        return datetime.fromisoformat(text).astimezone()
    except ValueError:
        raise UsageError(
            f"{text!r} is not a time", hint="write it as 2026-11-21T07:00:00Z, or without Z for local time"
        ) from None
