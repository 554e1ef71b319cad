"""Looking at schedules; loads neither DBOS nor SQLAlchemy, nor the cron library."""

from __future__ import annotations

import json
from contextlib import closing
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from kurt.db.tenant import scope_of
from kurt.engine.suggestions import did_you_mean
from kurt.errors import NotFoundError
from kurt.runtime.leases import live_executors
from kurt.runtime.runs import open_reader, open_source
from kurt.runtime.schedule_types import DUE, MISSED, Schedule, Tick, iso, moment_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kurt.config import Settings
    from kurt.db.tenant import Tenant
    from kurt.runtime.runs import RunReader, Source
    from kurt.types import JsonObject

_COLUMNS = (
    "name, id, workflow, declared, cron, timezone, catch_up, overlap, inputs, queue, priority, due_at, paused_at,"
    " user_id, workspace_id, created_at, updated_at"
)
_TICK_COLUMNS = "schedule_id, at, kind, state, count, run_id, is_open, owner, reason, error, changed_at"
_NAMES = tuple(_COLUMNS.replace(" ", "").split(","))
_TICK_NAMES = tuple(_TICK_COLUMNS.replace(" ", "").split(","))


def stored(settings: Settings) -> list[Schedule]:
    """The schedules by name, those of others left out where `--user` or `--workspace` is given."""
    with closing(open_source(settings)) as source:
        return _stored(settings, source)


def _stored(settings: Settings, source: Source) -> list[Schedule]:
    scope = scope_of(settings)
    rows = source.rows(f"SELECT {_COLUMNS} FROM kurt_schedules ORDER BY name")  # noqa: S608 - constants
    found = [_schedule(row) for row in rows]
    return [one for one in found if in_scope(scope, one)]


def in_scope(scope: Tenant | None, schedule: Schedule) -> bool:
    """Whether a schedule belongs to whom `--user` and `--workspace` name."""
    if scope is None:
        return True
    return scope.user_id in {None, schedule.user_id} and scope.workspace_id in {None, schedule.workspace_id}


def is_served(settings: Settings) -> bool:
    """Whether a live worker starts what is due."""
    return any(one.kind == "worker" and one.queues for one in live_executors(settings))


def chosen(known: Sequence[Schedule], name: str) -> Schedule:
    """The one of that name.

    Raises:
        NotFoundError: there is none.
    """
    for schedule in known:
        if schedule.name == name:
            return schedule
    hint = did_you_mean(name, [one.name for one in known], "kurt schedules list")
    raise NotFoundError(f"there is no schedule {name!r}", hint=hint)


def described(settings: Settings) -> list[JsonObject]:
    """All schedules with what became of their last tick, what waits, and whether a live worker serves them."""
    with closing(open_source(settings)) as source:
        schedules = _stored(settings, source)
        latest = {schedule.id: _ticks(source, schedule, limit=1) for schedule in schedules}
        counted = source.rows(
            "SELECT schedule_id, count(*) FROM kurt_schedule_ticks WHERE state = ? GROUP BY schedule_id",
            (DUE,),
        )
    waiting: dict[str, int] = {row[0]: row[1] for row in counted}
    served = is_served(settings)
    with open_reader(settings) as reader:
        return [
            {
                **schedule_json(schedule),
                "waiting": waiting.get(schedule.id, 0),
                "last": next((tick_json(schedule, tick, reader) for tick in latest[schedule.id]), None),
                "served": served,
            }
            for schedule in schedules
        ]


def ticks(settings: Settings, name: str, limit: int | None = 20) -> list[JsonObject]:
    """The ticks of a schedule, newest first, with what became of them.

    Raises:
        NotFoundError: there is no such schedule.
    """
    with closing(open_source(settings)) as source, open_reader(settings) as reader:
        schedule = chosen(_stored(settings, source), name)
        return [tick_json(schedule, tick, reader) for tick in _ticks(source, schedule, limit=limit)]


def _ticks(source: Source, schedule: Schedule, *, limit: int | None) -> list[Tick]:
    reach = "" if limit is None else f" LIMIT {limit:d}"
    rows = source.rows(
        f"SELECT {_TICK_COLUMNS} FROM kurt_schedule_ticks WHERE schedule_id = ? ORDER BY at DESC{reach}",  # noqa: S608 - constants
        (schedule.id,),
    )
    return [_tick(row) for row in rows]


def schedule_json(schedule: Schedule) -> JsonObject:
    """A schedule as JSON."""
    return {
        "name": schedule.name,
        "workflow": schedule.workflow,
        "cron": schedule.cron,
        "timezone": schedule.timezone,
        "status": "paused" if schedule.is_paused else "active",
        "next_at": None if schedule.is_paused else iso(schedule.due_at),
        "overlap": schedule.overlap,
        "catch_up": schedule.catch_up,
        "inputs": schedule.inputs,
        "queue": schedule.queue,
        "priority": schedule.priority,
        "declared": schedule.declared,
        "user_id": schedule.user_id,
        "workspace_id": schedule.workspace_id,
        "created_at": iso(schedule.created_at),
        "updated_at": iso(schedule.updated_at),
    }


def tick_json(schedule: Schedule, tick: Tick, reader: RunReader | None = None) -> JsonObject:
    """A tick as JSON; `status` is that of its run where there is one, else what became of the tick."""
    status = tick.state if tick.state != DUE else "waiting"
    if tick.run_id is not None and reader is not None:
        status = reader.get(tick.run_id).status if reader.exists(tick.run_id) else "deleted"
    local = moment_of(tick.at).astimezone(ZoneInfo(schedule.timezone))
    return {
        "schedule": schedule.name,
        "at": iso(tick.at),
        "local": local.isoformat(timespec="seconds"),
        "kind": tick.kind,
        "status": status,
        "run_id": tick.run_id,
        "count": tick.count if tick.state == MISSED else 1,
        "reason": tick.reason or ("earlier times come first" if tick.state == DUE else None),
        "error": tick.error,
    }


def _schedule(row: Sequence[Any]) -> Schedule:
    columns: dict[str, Any] = dict(zip(_NAMES, row, strict=True))
    for name in ("declared", "catch_up"):
        columns[name] = bool(columns[name])
    columns["inputs"] = _json(columns["inputs"]) or {}
    return Schedule(**columns)


def _tick(row: Sequence[Any]) -> Tick:
    columns: dict[str, Any] = dict(zip(_TICK_NAMES, row, strict=True))
    columns["is_open"] = bool(columns["is_open"])
    columns["error"] = _json(columns["error"])
    return Tick(**columns)


def _json(value: Any) -> Any:
    """What a column holds: SQLite gives text, Postgres the value."""
    return json.loads(value) if isinstance(value, str) else value
