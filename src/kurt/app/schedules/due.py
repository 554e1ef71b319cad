"""What is due, and what is to become of it; decided by what is known, without a look at clock or database."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Literal

from kurt.engine.cron import Cron
from kurt.runtime.schedule_types import (
    DUE,
    LATE,
    MISSED,
    REGULAR,
    SKIPPED,
    STARTED,
    Schedule,
    Tick,
    iso,
    milliseconds,
    moment_of,
)

GRACE = timedelta(seconds=60)
"""A time that is over for no longer than that was not missed: a worker may just begin again."""

BATCH = 100
"""Ticks that are made at once; more follow with the next look."""

MOST_WAITING = 1000
"""Ticks of a schedule that wait for their turn at most."""

_COUNTED = 1000


@dataclass(frozen=True, slots=True)
class Due:
    """What is due.

    Attributes:
        ticks: those whose time has come, and one for all that were missed.
        next_at: the schedule's next time, in milliseconds.
    """

    ticks: tuple[Tick, ...]
    next_at: int


def fallen_due(schedule: Schedule, now: datetime) -> Due:
    """The ticks of a schedule from its next time until now, in the order of time; at most a batch of them."""
    cron = Cron(schedule.cron, schedule.timezone)
    due = moment_of(schedule.due_at)
    ticks: list[Tick] = []
    if not schedule.catch_up and due < now - GRACE:
        ticks.append(_missed(schedule, cron, due, now - GRACE))
        due = cron.after(now - GRACE - timedelta(microseconds=1))
    while due <= now and len(ticks) < BATCH:
        kind = LATE if due < now - GRACE else REGULAR
        ticks.append(Tick(schedule_id=schedule.id, at=milliseconds(due), kind=kind))
        due = cron.after(due)
    return Due(tuple(ticks), milliseconds(due))


def too_many(due: Due) -> Due:
    """The same where so many earlier times wait that no more can."""
    reason = f"{MOST_WAITING} earlier times wait already"
    ticks = [
        replace(tick, state=SKIPPED, is_open=False, reason=reason) if tick.state == DUE else tick
        for tick in due.ticks
    ]
    return Due(tuple(ticks), due.next_at)


def _missed(schedule: Schedule, cron: Cron, start: datetime, end: datetime) -> Tick:
    """One row for all times that passed while nobody was there."""
    count, last = 0, start
    for at in cron.between(start, end):
        count, last = count + 1, at
        if count == _COUNTED:
            break
    number = f"{count} times" if count < _COUNTED else f"{count} times or more"
    reason = "no worker lived at that time"
    if count > 1:
        reason = f"{number} since {iso(schedule.due_at)} passed while no worker lived"
    return Tick(
        schedule_id=schedule.id,
        at=milliseconds(last),
        state=MISSED,
        count=count,
        reason=reason,
        is_open=False,
    )


@dataclass(frozen=True, slots=True)
class Decision:
    """What is to become of a tick now.

    Attributes:
        action: `start` a run, `hold` the tick until later, or `skip` it.
        reason: why not to start it.
        cancel: open ticks whose runs are cancelled first.
        replace: due ticks in whose place this one is started.
    """

    action: Literal["start", "hold", "skip"]
    reason: str | None = None
    cancel: tuple[Tick, ...] = ()
    replace: tuple[Tick, ...] = ()


def decide(schedule: Schedule, tick: Tick, others: Sequence[Tick]) -> Decision:
    """What becomes of a due tick, beside the other open ticks of its schedule.

    Past times that somebody asked for, and times that are caught up, are started one after the other: none of them is to be
    lost. Past times that were asked for neither wait for the regular ones nor stand in their way.
    """
    lane = [other for other in others if other.is_backfill == tick.is_backfill and other.at != tick.at]
    running = [other for other in lane if other.state == STARTED]
    earlier = [other for other in lane if other.state == DUE and other.at < tick.at]
    if schedule.is_paused and not tick.is_backfill:
        return Decision("hold", "the schedule is paused")
    if tick.kind == REGULAR and schedule.overlap == "cancel":
        return Decision("start", cancel=tuple(running), replace=tuple(earlier))
    if not running and not earlier:
        return Decision("start")
    reason = _in_the_way(running, earlier)
    if tick.kind == REGULAR and schedule.overlap == "skip":
        return Decision("skip", reason)
    return Decision("hold", reason)


def waits_behind(schedule: Schedule, tick: Tick) -> bool:
    """Whether a tick waits, where an earlier one of its kind does."""
    return tick.kind != REGULAR or schedule.overlap == "queue"


def _in_the_way(running: Sequence[Tick], earlier: Sequence[Tick]) -> str:
    if running:
        return f"the run {running[0].run_id} is not over"
    return f"the run for {iso(earlier[0].at)} has not begun"
