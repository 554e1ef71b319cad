"""Points in time as people write them in a file."""

from __future__ import annotations

from datetime import UTC, datetime

from kurt.errors import ExpressionError
from kurt.types import Json


def parse_time(value: Json) -> float:
    """Seconds since the epoch of an ISO 8601 time (UTC unless it says otherwise) or of a number of seconds.

    Raises:
        ExpressionError: it is neither.
    """
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return float(value)
    try:
        at = datetime.fromisoformat(str(value).strip())
    except ValueError:
        raise ExpressionError(
            f"{value!r} is not a time", hint="write it as 2026-11-21T07:00:00Z or 2026-11-21T07:00:00+01:00"
        ) from None
    return (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp()
