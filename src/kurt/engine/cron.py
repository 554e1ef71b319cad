"""When a schedule is due: cron expressions in a time zone, exact also where clocks are changed.

The cron library counts on the clock on the wall; what the wall's clock means is decided here. Where it is put forward, a
time that does not exist is due at the moment of the change, once. Where it is put back, a time that comes twice is due
the first time. An expression whose hour is `*` names no time of day: it goes by the hours that pass, so that "every 15
minutes" stays that through both changes.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from functools import lru_cache
from typing import Any
from zoneinfo import ZoneInfo, available_timezones

from croniter import CroniterBadDateError, CroniterError, croniter

from kurt.engine.suggestions import closest

CRON_FORMS = "five fields (minute hour day month weekday), as in '0 7 * * 1'"
"""How an expression is written, for messages."""

_NICKNAMES = ("@yearly", "@annually", "@monthly", "@weekly", "@daily", "@midnight", "@hourly")
_FIELD = re.compile(r"[0-9A-Za-z*/,#?-]+")
_WORDS = re.compile(r"[A-Za-z]+")
_MONTHS = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"]
_NAMES = frozenset([*_MONTHS, "sun", "mon", "tue", "wed", "thu", "fri", "sat", "l", "w", "lw"])
_SECOND = timedelta(seconds=1)
_FAR = timedelta(days=4)
_LONGEST_YEARS = 30
"""Years in which an expression must be due at least once: 29 February on a Sunday comes every 28 years."""


@dataclass(frozen=True, slots=True)
class Cron:
    """A cron expression in a time zone; `parse_cron` makes it.

    Attributes:
        expression: five fields, six with seconds first, or a name such as `@daily`.
        timezone: name of the zone, such as `Europe/Paris`.
    """

    expression: str
    timezone: str = "UTC"

    @property
    def zone(self) -> tzinfo:
        """The time zone."""
        return UTC if self.timezone == "UTC" else ZoneInfo(self.timezone)

    @property
    def by_elapsed_time(self) -> bool:
        """Whether it names no hour: it then goes by the time that passes, not by the clock on the wall."""
        fields = self.expression.split()
        return self.expression.lower() == "@hourly" or (len(fields) >= 5 and fields[-4] in {"*", "*/1"})

    def after(self, moment: datetime) -> datetime:
        """The first time later than a moment at which it is due, in UTC.

        Args:
            moment: with a time zone.
        """
        found = self._elapsed(moment) if self.by_elapsed_time else self._by_the_clock(moment)
        return found.astimezone(UTC)

    def between(self, start: datetime, end: datetime) -> Iterator[datetime]:
        """The times at which it is due from `start` on and before `end`, in UTC."""
        due = self.after(start - timedelta(microseconds=1))
        while due < end:
            yield due
            due = self.after(due)

    def _by_the_clock(self, moment: datetime) -> datetime:
        """Times of day as the clock shows them: each once, whatever is done to the clock."""
        zone = self.zone
        for shown in _shown_after(self.expression, moment.astimezone(zone).replace(tzinfo=None)):
            due = _first_moment(shown, zone)
            if due > moment:
                return due
        raise CroniterBadDateError(self.expression)

    def _elapsed(self, moment: datetime) -> datetime:
        """By the hours that pass: the clock counts as it is, between two changes of it."""
        zone = self.zone
        inclusive = timedelta()
        while True:
            local = moment.astimezone(zone)
            offset = local.utcoffset() or timedelta()
            shown = next(_shown_after(self.expression, local.replace(tzinfo=None) - inclusive))
            due = (shown - offset).replace(tzinfo=UTC)
            if due - moment > _FAR:  # so that there is one change at most on the way
                moment, inclusive = due - _FAR / 2, timedelta()
                continue
            if due.astimezone(zone).utcoffset() == offset:
                return due
            moment, inclusive = _change(moment.astimezone(UTC), due, zone), timedelta(microseconds=1)


def _shown_after(expression: str, start: datetime) -> Iterator[datetime]:
    """The times without zone after a start at which an expression is due."""
    found: Any = croniter(
        expression, start, second_at_beginning=True, max_years_between_matches=_LONGEST_YEARS
    )
    while True:
        yield found.get_next(datetime)


def _first_moment(shown: datetime, zone: tzinfo) -> datetime:
    """When a clock first shows a time, in UTC; where it leaves it out, the moment at which it jumps over it."""
    early = shown.replace(tzinfo=zone, fold=0).astimezone(UTC)
    if early.astimezone(zone).replace(tzinfo=None) == shown:
        return early
    late = shown.replace(tzinfo=zone, fold=1).astimezone(UTC)
    # In a gap the two readings lie on both sides of the change, the one with the new offset first.
    return _change(min(early, late) - _SECOND, max(early, late), zone)


def _change(before: datetime, after: datetime, zone: tzinfo) -> datetime:
    """The first second at which the clock's offset is no more that of `before`; both are in UTC."""
    offset = before.astimezone(zone).utcoffset()
    low, high = int(before.timestamp()), int(after.timestamp()) + 1
    while high - low > 1:
        middle = (low + high) // 2
        same = datetime.fromtimestamp(middle, UTC).astimezone(zone).utcoffset() == offset
        low, high = (middle, high) if same else (low, middle)
    return datetime.fromtimestamp(high, UTC)


def parse_cron(expression: str, timezone: str = "UTC") -> Cron:
    """A checked schedule.

    Raises:
        ValueError: the expression or the zone is not one, or it is never due; the text ends with `; remedy`.
    """
    cron = Cron(check_cron(expression), check_timezone(timezone))
    _check_due(cron.expression)
    return cron


@lru_cache(maxsize=256)
def check_cron(expression: str) -> str:
    """The expression with single spaces, if it is one.

    Raises:
        ValueError: it is none; the text ends with `; remedy`.
    """
    fields = expression.split()
    text = " ".join(fields)
    if text.startswith("@"):
        if text.lower() not in _NICKNAMES:
            near = closest(text.lower(), _NICKNAMES)
            raise ValueError(
                f"{expression!r} is not a cron expression; "
                + (f"did you mean `{near}`?" if near else f"write {CRON_FORMS}")
            )
        return text.lower()
    if len(fields) not in (5, 6):
        number = f"{len(fields)} field" + ("" if len(fields) == 1 else "s")
        raise ValueError(f"{expression!r} has {number}; write {CRON_FORMS}, or six with the second first")
    for field in fields:
        unknown = [word for word in _WORDS.findall(field) if word.lower() not in _NAMES]
        if unknown or not _FIELD.fullmatch(field):
            raise ValueError(f"{field!r} is not a field of a cron expression; write {CRON_FORMS}")
    try:
        croniter(text, datetime(2026, 1, 1), second_at_beginning=True)  # noqa: DTZ001 - the clock on the wall
    except (CroniterError, ValueError, KeyError):
        raise ValueError(f"{expression!r} is not a cron expression; write {CRON_FORMS}") from None
    return text


@lru_cache(maxsize=256)
def _check_due(expression: str) -> None:
    try:
        next(_shown_after(expression, datetime(2026, 1, 1)))  # noqa: DTZ001 - the clock on the wall
    except CroniterBadDateError:
        raise ValueError(f"{expression!r} is never due; change the day or the month") from None


@lru_cache(maxsize=256)
def check_timezone(name: str) -> str:
    """The name of a time zone, if there is one.

    Raises:
        ValueError: there is none; the text ends with `; remedy`.
    """
    if name == "UTC":
        return name
    known = available_timezones()
    if name in known and name not in {"localtime", "posixrules", "Factory"}:
        return name
    near = closest(name, sorted(known))
    remedy = f"did you mean `{near}`?" if near else "write a name such as `Europe/Paris` or `UTC`"
    raise ValueError(f"{name!r} is not a time zone; {remedy}")
