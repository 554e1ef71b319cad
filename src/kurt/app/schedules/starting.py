"""Starting the run of a tick: the file, its inputs and the settings are read now, not when the schedule was made."""

from __future__ import annotations

import dataclasses
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from kurt.app.placement import placement_from
from kurt.app.runs import Submitted, check_queue, submit
from kurt.app.schedules.upcoming import checked_cron
from kurt.app.targets import Prepared, check_secrets, prepare
from kurt.config import load_settings
from kurt.db import tenant
from kurt.engine.expressions.references import resolve
from kurt.runtime import names
from kurt.runtime.schedule_types import Schedule, iso, moment_of

if TYPE_CHECKING:
    from collections.abc import Generator

    from kurt.config import Settings
    from kurt.runtime.enqueue import Placement
    from kurt.types import JsonObject


def tick_scope(schedule: Schedule, at: int) -> JsonObject:
    """What `tick` is in the inputs of a schedule, for a time in milliseconds."""
    return _scope(schedule.name, schedule.timezone, at)


def example_scope(name: str, timezone: str) -> JsonObject:
    """The same for a schedule that is not there yet, for now.

    Raises:
        UsageError: there is no such zone.
    """
    checked_cron("@daily", timezone)
    return _scope(name, timezone, int(time.time()) * 1000)


def _scope(name: str, timezone: str, at: int) -> JsonObject:
    local = moment_of(at).astimezone(ZoneInfo(timezone))
    return {
        "at": iso(at),
        "date": local.date().isoformat(),
        "time": local.time().isoformat("seconds"),
        "timezone": timezone,
        "schedule": name,
    }


def prepare_tick(settings: Settings, schedule: Schedule, at: int) -> Prepared:
    """The checked run for a time, with the file as it is now.

    Raises:
        KurtError: the workflow, its inputs or its secrets do not allow a run.
    """
    with _tenant_of(schedule):
        given: Any = resolve(schedule.inputs, {"tick": tick_scope(schedule, at)})
        prepared = prepare(settings, schedule.workflow, given=given)
    facts = {**prepared.attributes, "schedule": {"name": schedule.name, "at": iso(at)}}
    return dataclasses.replace(prepared, attributes=facts)


@contextmanager
def _tenant_of(schedule: Schedule) -> Generator[None]:
    """The runs of a schedule belong to whom it belongs."""
    token = tenant.chosen.set(tenant.Tenant(schedule.user_id, schedule.workspace_id))
    try:
        yield
    finally:
        tenant.chosen.reset(token)


def check_tick(settings: Settings, schedule: Schedule, at: int) -> None:
    """Refuse a schedule whose run for that time could not be started as things are now.

    Raises:
        KurtError: see `prepare_tick`; also that a secret or the queue is missing.
    """
    prepared = prepare_tick(settings, schedule, at)
    check_secrets(settings, prepared, stored=True)
    check_queue(settings, _placement(settings, schedule, prepared).queue)


def start_now(settings: Settings, schedule: Schedule, at: int) -> Submitted:
    """Start a run out of turn, under an id of its own.

    Raises:
        KurtError: there can be no run.
    """
    prepared = prepare_tick(settings, schedule, at)
    return submit(settings, prepared, _placement(settings, schedule, prepared))


def _placement(settings: Settings, schedule: Schedule, prepared: Prepared) -> Placement:
    """Where the file's runs go, if the schedule says nothing else; times are apart by themselves, so never debounced."""
    options = {"queue": schedule.queue, "priority": schedule.priority}
    return dataclasses.replace(placement_from(settings, prepared, options), debounce=None)


def start_tick(settings: Settings, schedule: Schedule, at: int) -> tuple[Submitted, str | None]:
    """Put the run for a time on its queue; started again, it is the same run.

    Returns:
        the run, and what is to be known about it, such as that the file's schedule has changed.

    Raises:
        KurtError: there can be no run now.
    """
    fresh = load_settings(settings.root)
    prepared = prepare_tick(fresh, schedule, at)
    return submit(
        fresh, prepared, _placement(fresh, schedule, prepared), run_id=schedule.run_id(at)
    ), _outdated(schedule, prepared)


def _outdated(schedule: Schedule, prepared: Prepared) -> str | None:
    """A line if the file says something else of this schedule than what was registered."""
    if not schedule.declared or prepared.workflow != names.RUN_WORKFLOW:
        return None
    from kurt.app.schedules.declared import schedules_of  # noqa: PLC0415 - only for files

    frozen = prepared.arguments[0]["frozen"]
    declared = next((one for one in schedules_of(frozen) if one["name"] == schedule.name), None)
    remedy = f"to take it over: kurt schedules create {schedule.workflow}"
    if declared is None:
        return f"the file declares no schedule {schedule.name!r} any more; kurt schedules delete {schedule.name!r}"
    changed = [key for key, value in declared.items() if key != "name" and getattr(schedule, key) != value]
    return f"the file has another `{changed[0]}` for this schedule by now; {remedy}" if changed else None
