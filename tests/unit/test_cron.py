"""When schedules are due, every few minutes through a whole year, in zones that change their clocks."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

import pytest

from kurt.engine.cron import parse_cron

YEAR = datetime(2026, 1, 1, tzinfo=UTC), datetime(2027, 1, 1, tzinfo=UTC)
LOOK = timedelta(minutes=5)

Wanted = Callable[[datetime], bool]


@lru_cache
def clock(zone: str) -> list[tuple[datetime, datetime]]:
    """What the clock on the wall shows every five minutes of the year: the moment, and the time shown."""
    start, end = YEAR
    moments = [start + number * LOOK for number in range((end - start) // LOOK)]
    return [(moment, moment.astimezone(ZoneInfo(zone)).replace(tzinfo=None)) for moment in moments]


def by_the_clock(zone: str, wanted: Wanted) -> list[datetime]:
    """What somebody does who acts on each time of the clock once, and after a jump on what it left out."""
    due: list[datetime] = []
    last = clock(zone)[0][1] - LOOK
    for moment, shown in clock(zone):
        passed = [last + number * LOOK for number in range(1, (shown - last) // LOOK + 1)]
        if any(wanted(time) for time in passed):
            due.append(moment)
        last = max(last, shown)
    return due


def by_the_hour(zone: str, wanted: Wanted) -> list[datetime]:
    """What somebody does who acts whenever the clock shows a wanted time, be it for the second time."""
    return [moment for moment, shown in clock(zone) if wanted(shown)]


@pytest.mark.parametrize("zone", ["Europe/Paris", "America/New_York", "Australia/Lord_Howe"])
@pytest.mark.parametrize(
    ("expression", "wanted"),
    [
        ("0 7 * * 1", lambda time: (time.hour, time.minute, time.isoweekday()) == (7, 0, 1)),
        ("30 2 * * *", lambda time: (time.hour, time.minute) == (2, 30)),
        ("15,45 1-3 * * *", lambda time: time.minute in {15, 45} and time.hour in {1, 2, 3}),
        ("0 */2 * * sun", lambda time: time.minute == 0 and time.hour % 2 == 0 and time.isoweekday() == 7),
        ("0 0 L * *", lambda time: (time.hour, time.minute, (time + timedelta(1)).day) == (0, 0, 1)),
    ],
)
def test_times_of_day_come_once_each_through_a_year(zone: str, expression: str, wanted: Wanted) -> None:
    ticks = list(parse_cron(expression, zone).between(*YEAR))
    assert ticks == by_the_clock(zone, wanted)
    assert len(ticks) > 10


@pytest.mark.parametrize("zone", ["Europe/Paris", "America/New_York"])
@pytest.mark.parametrize(
    ("expression", "wanted"),
    [
        ("*/20 * * * *", lambda time: time.minute % 20 == 0),
        ("@hourly", lambda time: time.minute == 0),
        ("10 * 25 10 *", lambda time: (time.minute, time.day, time.month) == (10, 25, 10)),
    ],
)
def test_every_hour_means_the_hours_that_pass(zone: str, expression: str, wanted: Wanted) -> None:
    assert list(parse_cron(expression, zone).between(*YEAR)) == by_the_hour(zone, wanted)


def shown(expression: str, zone: str, start: str, count: int) -> list[str]:
    cron = parse_cron(expression, zone)
    moment, found = datetime.fromisoformat(start), []
    for _ in range(count):
        moment = cron.after(moment)
        found.append(moment.astimezone(cron.zone).strftime("%d %H:%M%z"))
    return found


def test_the_changes_of_a_year_as_people_know_them() -> None:
    # Europe: forward on 29 March at 02:00, back on 25 October at 03:00.
    assert shown("30 2 * * *", "Europe/Paris", "2026-03-28T00:00Z", 3) == [
        "28 02:30+0100",
        "29 03:00+0200",
        "30 02:30+0200",
    ]
    assert shown("30 2 * * *", "Europe/Paris", "2026-10-24T00:00Z", 3) == [
        "24 02:30+0200",
        "25 02:30+0200",
        "26 02:30+0100",
    ]
    # New York: forward on 8 March at 02:00, back on 1 November at 02:00.
    assert shown("0 2,3 * * *", "America/New_York", "2026-03-08T00:00Z", 2) == [
        "08 03:00-0400",
        "09 02:00-0400",
    ]
    assert shown("30 * * * *", "America/New_York", "2026-11-01T05:00Z", 3) == [
        "01 01:30-0400",
        "01 01:30-0500",
        "01 02:30-0500",
    ]
    # Beirut changes at midnight, so that its days begin at 1 o'clock once a year.
    assert shown("@daily", "Asia/Beirut", "2026-03-28T12:00Z", 2) == ["29 01:00+0300", "30 00:00+0300"]


def test_seconds_stand_first_where_there_are_six_fields() -> None:
    cron = parse_cron("*/10 5 7 * * *")
    start = datetime(2026, 11, 21, 7, 5, 25, tzinfo=UTC)
    assert list(cron.between(start, start + timedelta(seconds=30))) == [
        start.replace(second=second) for second in (30, 40, 50)
    ]
    assert list(cron.between(start.replace(second=50), start.replace(second=51))) == [
        start.replace(second=50)
    ]


@pytest.mark.parametrize(
    ("expression", "zone", "message", "remedy"),
    [
        ("0 7 * *", "UTC", "'0 7 * *' has 4 fields", "as in '0 7 * * 1'"),
        ("0 0 7 * * 1 2027", "UTC", "has 7 fields", "write five fields"),
        ("61 * * * *", "UTC", "'61 * * * *' is not a cron expression", "write five fields"),
        ("0 7 * * Monday", "UTC", "'Monday' is not a field", "write five fields"),
        ("R R * * *", "UTC", "'R' is not a field", "write five fields"),
        ("0 0 31 2 *", "UTC", "is never due", "change the day or the month"),
        ("@dayly", "UTC", "'@dayly' is not a cron expression", "did you mean `@daily`?"),
        ("0 7 * * 1", "Europe/Pari", "'Europe/Pari' is not a time zone", "did you mean `Europe/Paris`?"),
        ("0 7 * * 1", "../etc/passwd", "is not a time zone", "`Europe/Paris`"),
    ],
)
def test_a_wrong_schedule_is_refused_with_its_remedy(
    expression: str, zone: str, message: str, remedy: str
) -> None:
    with pytest.raises(ValueError, match=r".*; .*") as refused:
        parse_cron(expression, zone)
    said, _, hint = str(refused.value).partition("; ")
    assert message in said
    assert remedy in hint
