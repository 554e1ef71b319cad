"""Making schedules, and what people do with them."""

from __future__ import annotations

import secrets
import time
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from sqlalchemy.exc import SQLAlchemyError

from kurt.app.runs import Submitted
from kurt.app.schedules.files import Wanted
from kurt.app.schedules.listing import chosen, in_scope, is_served
from kurt.app.schedules.starting import check_tick, start_now
from kurt.app.schedules.times import span
from kurt.app.schedules.upcoming import checked_cron
from kurt.app.targets import workflow_file
from kurt.db.engine import system_engine
from kurt.db.failures import storage_error
from kurt.db.migrate import ensure_schema
from kurt.db.tenant import scope_of, tenant_of
from kurt.engine.cron import Cron
from kurt.errors import ConflictError, UsageError
from kurt.runtime import names, spawn
from kurt.runtime.schedule_types import STARTED, TRIGGER, Schedule, Tick, milliseconds
from kurt.runtime.schedules import ScheduleStore

if TYPE_CHECKING:
    from kurt.config import Settings
    from kurt.db.tenant import Tenant

CREATED, UPDATED, UNCHANGED = "created", "updated", "unchanged"

_COMPARED = ("workflow", "declared", "cron", "timezone", "catch_up", "overlap", "inputs", "queue", "priority")
_MOST_BACKFILLED = 10_000


@contextmanager
def opened(settings: Settings) -> Generator[ScheduleStore]:
    """The schedules of a project, to be written.

    Raises:
        StorageError: the database refuses.
    """
    ensure_schema(settings)
    engine = system_engine(settings, synchronous="full")
    try:
        yield ScheduleStore(engine)
    except SQLAlchemyError as error:
        raise storage_error(settings, error) from error
    finally:
        engine.dispose()


def create(settings: Settings, wanted: Sequence[Wanted], *, may_replace: bool) -> list[tuple[Schedule, str]]:
    """Store schedules; each with whether it is `created`, `updated` or `unchanged`. All are checked before one is stored.

    Args:
        settings: the project's settings.
        wanted: the schedules.
        may_replace: change those that exist already under these names.

    Raises:
        UsageError: a name, an expression, a zone, or an input is wrong.
        ConflictError: there is one of that name.
        KurtError: the workflow could not be started now either.
    """
    whose = tenant_of(settings)
    made = [_made(settings, one, whose) for one in wanted]
    for schedule in made:
        check_tick(settings, schedule, schedule.due_at)
    with opened(settings) as store:
        for schedule in made:
            _check_free(store, schedule, may_replace=may_replace)
        return [_stored(store, schedule) for schedule in made]


def _made(settings: Settings, wanted: Wanted, whose: Tenant) -> Schedule:
    _check_name(wanted.name)
    cron = checked_cron(wanted.cron, wanted.timezone)
    now = datetime.now(UTC)
    return Schedule(
        name=wanted.name,
        id=secrets.token_hex(8),
        workflow=_workflow(settings, wanted.workflow),
        declared=wanted.declared,
        cron=cron.expression,
        timezone=cron.timezone,
        catch_up=wanted.catch_up,
        overlap=wanted.overlap,
        inputs=wanted.inputs,
        queue=wanted.queue,
        priority=wanted.priority,
        due_at=milliseconds(cron.after(now)),
        user_id=whose.user_id,
        workspace_id=whose.workspace_id,
        created_at=milliseconds(now),
        updated_at=milliseconds(now),
    )


def _check_name(name: str) -> None:
    if not name.strip() or len(name) > 200 or not name.isprintable() or name.startswith("-"):
        raise UsageError(
            f"{name!r} is not a name for a schedule", hint="use 1 to 200 printable characters, not `-` first"
        )


def _workflow(settings: Settings, target: str) -> str:
    """A file as it is found from the project's root, wherever the command was given; else the name."""
    file = workflow_file(settings, target)
    if file is None:
        return target
    return str(file.relative_to(settings.root)) if file.is_relative_to(settings.root) else str(file)


def _check_free(store: ScheduleStore, schedule: Schedule, *, may_replace: bool) -> None:
    known = store.get(schedule.name)
    same = known is not None and known.workflow == schedule.workflow
    if known is None or (may_replace and (same or not schedule.declared)):
        return
    if may_replace:
        message = f"there is a schedule {schedule.name!r} of another workflow: {known.workflow}"
        hint = "give one of them another `name:`"
    else:
        message, hint = f"there is a schedule {schedule.name!r}", "add --replace to change it"
    raise ConflictError(message, hint=f"{hint}, or kurt schedules delete {schedule.name!r}")


def _stored(store: ScheduleStore, schedule: Schedule) -> tuple[Schedule, str]:
    if store.add(schedule):
        return schedule, CREATED
    known = store.get(schedule.name)
    if known is None:
        raise ConflictError(f"the schedule {schedule.name!r} was deleted just now", hint="repeat the command")
    changed = {
        name: getattr(schedule, name) for name in _COMPARED if getattr(schedule, name) != getattr(known, name)
    }
    if not changed:
        return known, UNCHANGED
    if {"cron", "timezone"} & set(changed):
        changed["due_at"] = schedule.due_at
    store.change(known, **changed)
    return replace(known, **changed), UPDATED


def find(store: ScheduleStore, settings: Settings, name: str) -> Schedule:
    """The schedule of a name.

    Raises:
        NotFoundError: there is none, or it belongs to somebody else than `--user` and `--workspace` say.
    """
    scope = scope_of(settings)
    return chosen([one for one in store.all() if in_scope(scope, one)], name)


def pause(settings: Settings, name: str) -> Schedule:
    """Let a schedule rest: nothing is started until it is resumed, and what is due meanwhile is left out."""
    with opened(settings) as store:
        schedule = find(store, settings, name)
        if schedule.paused_at is None:
            now = int(time.time() * 1000)
            store.change(schedule, paused_at=now)
            schedule = replace(schedule, paused_at=now)
    return schedule


def resume(settings: Settings, name: str) -> Schedule:
    """Let a schedule go on with its next time from now."""
    with opened(settings) as store:
        schedule = find(store, settings, name)
        if schedule.paused_at is not None:
            due = milliseconds(Cron(schedule.cron, schedule.timezone).after(datetime.now(UTC)))
            store.change(schedule, paused_at=None, due_at=due)
            schedule = replace(schedule, paused_at=None, due_at=due)
    return schedule


def delete(settings: Settings, wanted: Sequence[str]) -> list[Schedule]:
    """Remove schedules; all are looked up before the first is removed. Their runs stay."""
    with opened(settings) as store:
        found = [find(store, settings, name) for name in wanted]
        for schedule in found:
            store.remove(schedule)
    return found


def trigger(settings: Settings, name: str) -> Submitted:
    """Start a run of a schedule now, whatever is at work, and also while it rests.

    Raises:
        KurtError: there can be no run.
    """
    with opened(settings) as store:
        schedule = find(store, settings, name)
        now = int(time.time() * 1000)
        run = start_now(settings, schedule, now)
        tick = Tick(schedule_id=schedule.id, at=now, kind=TRIGGER, state=STARTED, run_id=run.run_id)
        while not store.add_ticks([tick]):  # another one came in the same millisecond
            tick = replace(tick, at=tick.at + 1)
    return run


@dataclass(frozen=True, slots=True)
class Backfill:
    """Past times of a schedule.

    Attributes:
        schedule: the schedule.
        times: all of its times in the range, in milliseconds.
        asked: those of them for which a run will be started.
    """

    schedule: Schedule
    times: tuple[int, ...]
    asked: tuple[int, ...]


def backfill(settings: Settings, name: str, start: str, end: str, *, dry_run: bool = False) -> Backfill:
    """Ask for the runs of past times, one after the other; times for which there is a run are left alone.

    Args:
        settings: the project's settings.
        name: the schedule.
        start: from when on: a date or a time, in the schedule's zone if it names none.
        end: until when, included; a date stands for its whole day.
        dry_run: only tell which times these are.

    Raises:
        UsageError: the range is empty, too large, or not over yet.
    """
    with opened(settings) as store:
        schedule = find(store, settings, name)
        times = _times(schedule, start, end)
        if dry_run:
            started = {tick.at for tick in store.ticks_at(schedule.id, times) if tick.run_id or tick.is_open}
            return Backfill(schedule, times, tuple(at for at in times if at not in started))
        return Backfill(schedule, times, tuple(store.ask_again(schedule, times)))


def _times(schedule: Schedule, start: str, end: str) -> tuple[int, ...]:
    cron = Cron(schedule.cron, schedule.timezone)
    first, _ = span(start, cron)
    _, last = span(end, cron)
    if last <= first:
        raise UsageError(f"--from {start} is after --to {end}", hint="exchange the two")
    if last > datetime.now(UTC):
        raise UsageError(
            f"{end!r} is not over yet", hint="end with a time in the past; later ones come by themselves"
        )
    times: list[int] = []
    for at in cron.between(first, last):
        times.append(milliseconds(at))
        if len(times) > _MOST_BACKFILLED:
            raise UsageError(
                f"the range holds more than {_MOST_BACKFILLED:,} times", hint="ask for a shorter range"
            )
    if not times:
        raise UsageError(
            f"the schedule {schedule.name!r} was not due between {start} and {end}",
            hint=f"kurt schedules next {schedule.name!r} --from {start}",
        )
    return tuple(times)


def serve(settings: Settings) -> None:
    """Start a worker that serves schedules, unless one lives; it stays for as long as there are any.

    Raises:
        KurtError: it cannot be started.
    """
    if is_served(settings):
        return
    worker = spawn.start_worker(settings, names.DEFAULT_QUEUE)
    spawn.confirm_started(settings, worker, names.DEFAULT_QUEUE)
