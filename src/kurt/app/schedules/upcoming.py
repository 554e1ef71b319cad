"""Times to come of a schedule; needs no database but for one that is given by its name."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from kurt.app.schedules.times import span
from kurt.engine.cron import Cron, parse_cron
from kurt.errors import UsageError

if TYPE_CHECKING:
    from kurt.config import Settings
    from kurt.types import JsonObject


def upcoming(
    settings: Settings, target: str | None, given: Cron | None, *, count: int, start: str | None
) -> list[JsonObject]:
    """The next times of the schedules that are meant, those of each in the order of time.

    Args:
        settings: the project's settings.
        target: a workflow file, or the name of a schedule.
        given: a schedule in place of the two.
        count: how many of each.
        start: from when on; now by default.

    Raises:
        UsageError: it is not said which schedule is meant, or the start is no time.
        NotFoundError: there is no such file or schedule.
    """
    found: list[JsonObject] = []
    for name, cron in _meant(settings, target, given):
        moment = datetime.now(UTC) if start is None else span(start, cron)[0]
        inclusive = cron.between(moment, datetime.max.replace(tzinfo=UTC))
        for _, at in zip(range(count), inclusive, strict=False):
            found.append(_described(name, cron, at))
    return found


def checked_cron(expression: str, timezone: str) -> Cron:
    """A schedule that somebody wrote.

    Raises:
        UsageError: the expression or the zone is not one, or it is never due.
    """
    try:
        return parse_cron(expression, timezone)
    except ValueError as error:
        message, _, hint = str(error).partition("; ")
        raise UsageError(message, hint=hint or None) from None


def _described(name: str | None, cron: Cron, at: datetime) -> JsonObject:
    local = at.astimezone(cron.zone)
    return {
        "schedule": name,
        "at": at.isoformat(timespec="seconds").replace("+00:00", "Z"),
        "local": local.isoformat(timespec="seconds"),
        "weekday": local.strftime("%A"),
        "timezone": cron.timezone,
    }


def _meant(settings: Settings, target: str | None, given: Cron | None) -> list[tuple[str | None, Cron]]:
    if (target is None) == (given is None):
        raise UsageError(
            "it is not said which schedule is meant",
            hint="kurt schedules next FILE, kurt schedules next NAME, or kurt schedules next --cron '0 7 * * 1'",
        )
    if given is not None:
        return [(None, given)]
    from kurt.app.schedules.listing import chosen, stored  # noqa: PLC0415 - only for names

    name = str(target)
    known = {} if _is_file(name) else {one.name: one for one in stored(settings)}
    if name in known or not _may_be_file(settings, name):
        schedule = chosen(list(known.values()), name)
        return [(schedule.name, Cron(schedule.cron, schedule.timezone))]
    from kurt.app.schedules.files import from_file  # noqa: PLC0415 - only for files

    return [(one.name, parse_cron(one.cron, one.timezone)) for one in from_file(settings, name)]


def _is_file(target: str) -> bool:
    return target.endswith((".yaml", ".yml")) or "/" in target


def _may_be_file(settings: Settings, target: str) -> bool:
    from kurt.app.targets import workflow_file  # noqa: PLC0415 - as above

    return _is_file(target) or workflow_file(settings, target) is not None
