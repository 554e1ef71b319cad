"""Dates and times as people name them, in the zone of a schedule."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING

from kurt.errors import UsageError

if TYPE_CHECKING:
    from kurt.engine.cron import Cron


def span(text: str, cron: Cron) -> tuple[datetime, datetime]:
    """The moments at which a date or time begins and ends, the end excluded; in the schedule's zone if it names none.

    Raises:
        UsageError: it is neither.
    """
    try:
        if len(text) == 10:
            day = date.fromisoformat(text)
            begins = datetime(day.year, day.month, day.day, tzinfo=cron.zone)
            following = day + timedelta(days=1)
            return begins, datetime(following.year, following.month, following.day, tzinfo=cron.zone)
        moment = datetime.fromisoformat(text)
    except (ValueError, OverflowError):
        raise UsageError(
            f"{text!r} is neither a date nor a time",
            hint="write 2026-11-21, 2026-11-21T07:00 or 2026-11-21T07:00:00Z",
        ) from None
    moment = moment if moment.tzinfo is not None else moment.replace(tzinfo=cron.zone)
    return moment, moment + timedelta(microseconds=1)
