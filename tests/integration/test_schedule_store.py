"""Schedules in the database: what is written together, and what of several writers only one may do."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest
import sqlalchemy as sa

from kurt.config import Settings
from kurt.db.engine import system_engine
from kurt.runtime.names import check_run_id
from kurt.runtime.schedule_types import BACKFILL, MISSED, REGULAR, SKIPPED, STARTED, Schedule, Tick
from kurt.runtime.schedules import ScheduleStore
from tests.support.database import backend, database, postgres_server

__all__ = ["backend", "database", "postgres_server"]


@pytest.fixture
def engine(database: Settings) -> Iterator[sa.Engine]:
    made = system_engine(database)
    yield made
    made.dispose()


@pytest.fixture
def store(engine: sa.Engine) -> ScheduleStore:
    return ScheduleStore(engine)


def schedule(name: str = "daily", due_at: int = 1000, **more: Any) -> Schedule:
    return Schedule(
        name=name,
        id=f"id-{name}",
        workflow="w.yaml",
        declared=True,
        cron="@daily",
        timezone="UTC",
        inputs={"day": "${tick.date}", "n": [1, None]},
        due_at=due_at,
        created_at=1,
        updated_at=1,
        **more,
    )


def tick(at: int, **values: Any) -> Tick:
    return Tick(schedule_id="id-daily", at=at, **values)


def test_a_schedule_comes_back_as_it_was_stored(store: ScheduleStore) -> None:
    made = schedule(queue="gpu", priority=3, user_id="ann", paused_at=7)
    assert store.add(made)
    assert not store.add(replace(made, id="another"))
    assert store.get("daily") == made
    assert store.get("nightly") is None
    assert store.all() == [made]
    store.change(made, paused_at=None, inputs={})
    changed = store.get("daily")
    assert changed is not None
    assert (changed.paused_at, changed.inputs, changed.queue) == (None, {}, "gpu")
    assert changed.updated_at > 1


def test_the_next_time_and_the_ticks_before_it_are_stored_together_and_once(store: ScheduleStore) -> None:
    made = schedule()
    store.add(made)
    assert store.whose_time_has_come(999) == []
    assert store.whose_time_has_come(1000) == [made]
    ticks = [tick(900, state=MISSED, is_open=False, count=3, reason="nobody"), tick(1000)]
    assert store.move_on(made, 2000, ticks)
    assert not store.move_on(made, 2000, [tick(1500)])  # another worker had read the same
    assert [(one.at, one.state) for one in store.open_ticks("id-daily")] == [(1000, "due")]
    assert [one.at for one in store.ticks_at(made.id, [900, 1500])] == [900]
    assert store.whose_time_has_come(1999) == []


def test_of_many_workers_one_moves_a_schedule_on_and_one_takes_a_tick(store: ScheduleStore) -> None:
    made = schedule()
    store.add(made)
    with ThreadPoolExecutor(8) as pool:
        moved = list(pool.map(lambda _: store.move_on(made, 2000, [tick(1000)]), range(8)))
        assert moved.count(True) == 1
        (due,) = store.open_ticks("id-daily")
        taken = list(pool.map(lambda number: store.claim(due, f"worker-{number}"), range(8)))
    assert taken.count(True) == 1
    owner = f"worker-{taken.index(True)}"
    (mine,) = store.open_ticks("id-daily")
    assert mine.owner == owner
    assert not store.settle(mine, "worker-x", state=STARTED, run_id="r")
    assert store.settle(mine, owner, state=STARTED, run_id="r")
    assert [(one.state, one.run_id, one.owner) for one in store.open_ticks("id-daily")] == [
        (STARTED, "r", None)
    ]


def test_a_tick_of_a_dead_worker_is_taken_over_once(store: ScheduleStore) -> None:
    store.add(schedule())
    store.add_ticks([tick(1000)])
    (due,) = store.open_ticks("id-daily")
    assert store.claim(due, "dead")
    (held,) = store.open_ticks("id-daily")
    assert not store.claim(due, "late")  # it has read the row before
    assert store.claim(held, "heir")
    assert not store.claim(held, "second heir")


def run_row(engine: sa.Engine, run_id: str, status: str) -> None:
    table = "workflow_status" if engine.dialect.name == "sqlite" else "dbos.workflow_status"
    columns = "(workflow_uuid, status, name, created_at, updated_at, priority)"
    with engine.begin() as connection:
        connection.execute(
            sa.text(f"INSERT INTO {table} {columns} VALUES (:id, :status, 'n', 1, 1, 0)"),
            {"id": run_id, "status": status},
        )


def test_a_tick_is_open_for_as_long_as_its_run_is(store: ScheduleStore, engine: sa.Engine) -> None:
    store.add(schedule())
    states = {"ENQUEUED": 1, "PENDING": 2, "SUCCESS": 3, "CANCELLED": 4, "DELAYED": 5}
    for status, at in states.items():
        run_row(engine, f"r{at}", status)
    store.add_ticks([tick(at, state=STARTED, run_id=f"r{at}") for at in [*states.values(), 6]])
    store.close_ended()
    assert [one.at for one in store.open_ticks("id-daily")] == [1, 2, 5]


def test_past_times_are_asked_for_where_there_is_no_run(store: ScheduleStore) -> None:
    made = schedule()
    store.add(made)
    store.add_ticks(
        [
            tick(1, state=STARTED, run_id="r1", is_open=False),
            tick(2, state=SKIPPED, is_open=False, reason="why"),
            tick(3, state="failed", is_open=False, error={"message": "no"}),
            tick(4),
        ]
    )
    assert store.ask_again(made, [1, 2, 3, 4, 5]) == [2, 3, 5]
    assert store.ask_again(made, [1, 2, 3, 4, 5]) == []
    found = {one.at: (one.kind, one.reason, one.error) for one in store.open_ticks("id-daily")}
    again = (BACKFILL, None, None)
    assert found == {2: again, 3: again, 4: (REGULAR, None, None), 5: again}


def test_of_many_past_times_only_the_first_is_looked_at(store: ScheduleStore) -> None:
    made = schedule()
    store.add(made)
    store.ask_again(made, range(100, 200))
    store.add_ticks([tick(300), tick(400), Tick(schedule_id="other", at=50, kind=BACKFILL)])
    assert [(one.schedule_id, one.at) for one in store.to_serve()] == [
        *(("id-daily", at) for at in (100, 300, 400)),
        ("other", 50),
    ]
    assert store.waiting("id-daily") == 102
    (first, *_) = store.to_serve("id-daily")
    store.claim(first, "w")
    store.settle(first, "w", state=STARTED, run_id="r")
    assert [one.at for one in store.to_serve("id-daily")] == [100, 101, 300, 400]


def test_there_is_work_while_a_schedule_is_awake_or_a_tick_is_due(store: ScheduleStore) -> None:
    assert not store.active()
    made = schedule()
    store.add(made)
    assert store.active()
    store.change(made, paused_at=5)
    assert not store.active()
    store.add_ticks([tick(1, kind=BACKFILL)])
    assert store.active()


def test_a_schedule_goes_with_its_ticks_and_old_ones_are_forgotten(store: ScheduleStore) -> None:
    made = schedule()
    store.add(made)
    store.add_ticks([tick(1), tick(2, state=SKIPPED, is_open=False)])
    assert store.forget_ticks(1) == 0
    assert store.forget_ticks(2**60) == 1
    assert [one.at for one in store.open_ticks("id-daily")] == [1]
    store.remove(made)
    assert store.open_ticks("id-daily") == []
    assert store.all() == []


def test_the_run_of_a_time_has_always_the_same_id() -> None:
    made = schedule()
    at = 1_795_000_000_000
    assert made.run_id(at) == made.run_id(at)
    assert len({made.run_id(at), made.run_id(at + 1), replace(made, id="x").run_id(at)}) == 3
    assert made.run_id(at) < made.run_id(at + 1)  # ids sort by time, as those of other runs
    assert check_run_id(made.run_id(at)) == made.run_id(at)
