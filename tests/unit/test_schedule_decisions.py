"""What is due, and what becomes of it: pure decisions, with the clock given."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from kurt.app.schedules.due import BATCH, decide, fallen_due, too_many
from kurt.runtime.schedule_types import (
    BACKFILL,
    LATE,
    MISSED,
    REGULAR,
    SKIPPED,
    STARTED,
    TRIGGER,
    Schedule,
    Tick,
    iso,
    milliseconds,
)

NOW = datetime(2026, 11, 21, 12, 0, 0, tzinfo=UTC)


def schedule(cron: str = "0 * * * *", *, due: datetime = NOW, **more: Any) -> Schedule:
    moments = {"due_at": milliseconds(due), "created_at": 0, "updated_at": 0}
    values = {"name": "s", "id": "1", "workflow": "w", "declared": False, "timezone": "UTC"}
    return Schedule(**values, cron=cron, **moments, **more)


def times(found: Any) -> list[tuple[str | None, str]]:
    return [(iso(tick.at), tick.kind) for tick in found.ticks]


def test_a_time_that_has_just_come_is_due_once() -> None:
    found = fallen_due(schedule(), NOW + timedelta(milliseconds=300))
    assert times(found) == [("2026-11-21T12:00:00Z", REGULAR)]
    assert iso(found.next_at) == "2026-11-21T13:00:00Z"


def test_a_worker_that_begins_again_within_a_minute_has_missed_nothing() -> None:
    found = fallen_due(schedule("*/20 * * * * *"), NOW + timedelta(seconds=50))
    assert times(found) == [(f"2026-11-21T12:00:{second}Z", REGULAR) for second in ("00", "20", "40")]


def test_times_that_nobody_saw_are_one_row_that_says_how_many() -> None:
    found = fallen_due(schedule(due=NOW - timedelta(hours=30)), NOW + timedelta(seconds=1))
    missed, regular = found.ticks
    assert (missed.state, missed.count, missed.is_open) == (MISSED, 30, False)
    assert iso(missed.at) == "2026-11-21T11:00:00Z"
    assert missed.reason == "30 times since 2026-11-20T06:00:00Z passed while no worker lived"
    assert (regular.kind, iso(regular.at)) == (REGULAR, "2026-11-21T12:00:00Z")
    assert iso(found.next_at) == "2026-11-21T13:00:00Z"


def test_years_that_nobody_saw_take_no_time() -> None:
    found = fallen_due(schedule("* * * * * *", due=NOW - timedelta(days=3650)), NOW)
    assert found.ticks[0].reason == (
        "1000 times or more since 2016-11-23T12:00:00Z passed while no worker lived"
    )
    assert [tick.kind for tick in found.ticks[1:]] == [REGULAR] * 61


def test_times_are_caught_up_in_batches() -> None:
    start = schedule("* * * * *", due=NOW - timedelta(minutes=150), catch_up=True)
    first = fallen_due(start, NOW)
    assert len(first.ticks) == BATCH
    assert {tick.kind for tick in first.ticks} == {LATE}
    second = fallen_due(replace(start, due_at=first.next_at), NOW)
    assert [tick.kind for tick in second.ticks] == [LATE] * 49 + [REGULAR] * 2
    assert len({tick.at for tick in first.ticks + second.ticks}) == 151


def tick(minute: int, **values: Any) -> Tick:
    return Tick(schedule_id="1", at=milliseconds(NOW + timedelta(minutes=minute)), **values)


RUNNING = tick(0, state=STARTED, run_id="r0")
WAITING = tick(1)


@pytest.mark.parametrize(
    ("overlap", "others", "action", "reason"),
    [
        ("skip", [], "start", None),
        ("queue", [], "start", None),
        ("cancel", [], "start", None),
        ("skip", [RUNNING], "skip", "the run r0 is not over"),
        ("queue", [RUNNING], "hold", "the run r0 is not over"),
        ("queue", [WAITING], "hold", "the run for 2026-11-21T12:01:00Z has not begun"),
        ("skip", [WAITING], "skip", "the run for 2026-11-21T12:01:00Z has not begun"),
        ("queue", [tick(9)], "start", None),
    ],
)
def test_overlap_decides_about_a_regular_tick(
    overlap: str, others: list[Tick], action: str, reason: str | None
) -> None:
    found = decide(schedule(overlap=overlap), tick(5), [*others, tick(5)])
    assert (found.action, found.reason) == (action, reason)


def test_cancel_takes_the_place_of_what_runs_and_of_what_waits() -> None:
    found = decide(schedule(overlap="cancel"), tick(5), [RUNNING, WAITING, tick(5)])
    assert (found.action, found.cancel, found.replace) == ("start", (RUNNING,), (WAITING,))


@pytest.mark.parametrize("kind", [LATE, BACKFILL])
@pytest.mark.parametrize("overlap", ["skip", "queue", "cancel"])
def test_past_times_run_one_after_the_other_whatever_overlap_says(kind: str, overlap: str) -> None:
    running = replace(RUNNING, kind=kind)
    assert decide(schedule(overlap=overlap), tick(5, kind=kind), [running]).action == "hold"
    assert (
        decide(schedule(overlap=overlap), tick(5, kind=kind), [replace(WAITING, kind=kind)]).action == "hold"
    )
    assert decide(schedule(overlap=overlap), tick(5, kind=kind), []).action == "start"


def test_a_backfill_and_the_regular_times_go_their_own_ways() -> None:
    old = replace(RUNNING, kind=BACKFILL)
    assert decide(schedule(), tick(5), [old]).action == "start"
    assert decide(schedule(overlap="cancel"), tick(5), [old]).cancel == ()
    assert decide(schedule(), tick(1, kind=BACKFILL), [tick(0, state=STARTED, run_id="r")]).action == "start"


def test_a_run_that_was_triggered_is_in_the_way_of_the_next_time() -> None:
    assert decide(schedule(), tick(5), [replace(RUNNING, kind=TRIGGER)]).action == "skip"


def test_nothing_regular_begins_while_a_schedule_rests() -> None:
    paused = schedule(paused_at=1)
    assert decide(paused, tick(5), []).reason == "the schedule is paused"
    assert decide(paused, tick(5, kind=LATE), []).action == "hold"
    assert decide(paused, tick(5, kind=BACKFILL), []).action == "start"


def test_not_everything_can_wait() -> None:
    due = fallen_due(schedule("*/20 * * * * *"), NOW + timedelta(seconds=30))
    full = too_many(due)
    assert full.next_at == due.next_at
    assert {(one.state, one.is_open, one.reason) for one in full.ticks} == {
        (SKIPPED, False, "1000 earlier times wait already")
    }
    missed = fallen_due(schedule(due=NOW - timedelta(hours=9)), NOW)
    assert too_many(missed).ticks[0] == missed.ticks[0]
