"""Schedules and their ticks in the database.

What decides that a tick is started once: it has one row, its run id follows from the schedule and the time, the schedule's
next time is moved on together with the rows of the ticks before it, and a row is worked on by one executor at a time. So
any number of workers may serve all schedules, and one that dies leaves nothing half done.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.dialects.postgresql import insert as postgres_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert

from kurt.db.connect import DBOS_SCHEMA
from kurt.runtime.schedule_types import BACKFILL, DUE, STARTED, Schedule, Tick
from kurt.runtime.states import OVER, stored_state

_JSON: Any = sa.JSON(none_as_null=True).with_variant(JSONB(none_as_null=True), "postgresql")
_TEXTS = ("name", "id", "workflow", "cron", "timezone", "overlap", "queue", "user_id", "workspace_id")
_NUMBERS = ("priority", "due_at", "paused_at", "created_at", "updated_at")
_schedules = sa.table(
    "kurt_schedules",
    *(sa.column(name, sa.Text) for name in _TEXTS),
    *(sa.column(name, sa.BigInteger) for name in _NUMBERS),
    sa.column("declared", sa.Boolean),
    sa.column("catch_up", sa.Boolean),
    sa.column("inputs", _JSON),
)
_ticks = sa.table(
    "kurt_schedule_ticks",
    *(sa.column(name, sa.Text) for name in ("schedule_id", "kind", "state", "run_id", "owner", "reason")),
    *(sa.column(name, sa.BigInteger) for name in ("at", "count", "changed_at")),
    sa.column("is_open", sa.Boolean),
    sa.column("error", _JSON),
)
_OVER = sorted(stored_state(state) for state in OVER)


def _now() -> int:
    return int(time.time() * 1000)


class ScheduleStore:
    """Reads and writes schedules; each method is one transaction.

    Args:
        engine: of the project's database; it stays the caller's.
    """

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine
        schema = None if engine.dialect.name == "sqlite" else DBOS_SCHEMA
        self._runs = sa.table(
            "workflow_status",
            sa.column("workflow_uuid", sa.Text),
            sa.column("status", sa.Text),
            schema=schema,
        )

    def all(self) -> list[Schedule]:
        """The schedules by name."""
        with self._engine.connect() as connection:
            rows = connection.execute(sa.select(_schedules).order_by(_schedules.c.name))
            return [_schedule(row) for row in rows]

    def get(self, name: str) -> Schedule | None:
        """The schedule of a name."""
        with self._engine.connect() as connection:
            row = connection.execute(sa.select(_schedules).where(_schedules.c.name == name)).first()
            return None if row is None else _schedule(row)

    def add(self, schedule: Schedule) -> bool:
        """Store a new schedule; false if there is one of that name."""
        with self._engine.begin() as connection:
            found = connection.execute(self._insert(_schedules).values(asdict(schedule)))
            return found.rowcount > 0

    def change(self, schedule: Schedule, **values: Any) -> None:
        """Change some columns of a schedule."""
        with self._engine.begin() as connection:
            connection.execute(
                sa.update(_schedules)
                .where(_schedules.c.id == schedule.id)
                .values(**values, updated_at=_now())
            )

    def remove(self, schedule: Schedule) -> None:
        """Remove a schedule with its ticks; runs that it has started stay."""
        with self._engine.begin() as connection:
            connection.execute(sa.delete(_schedules).where(_schedules.c.id == schedule.id))
            connection.execute(sa.delete(_ticks).where(_ticks.c.schedule_id == schedule.id))

    def active(self) -> bool:
        """Whether there is something to serve, now or later: a schedule that does not rest, or a tick that is due."""
        awake = sa.select(_schedules.c.id).where(_schedules.c.paused_at.is_(None)).limit(1)
        due = sa.select(_ticks.c.at).where(_ticks.c.is_open, _ticks.c.state == DUE).limit(1)
        with self._engine.connect() as connection:
            return any(connection.execute(query).first() is not None for query in (awake, due))

    def whose_time_has_come(self, now: int) -> list[Schedule]:
        """The schedules that do not rest and whose next time is over."""
        query = sa.select(_schedules).where(_schedules.c.paused_at.is_(None), _schedules.c.due_at <= now)
        with self._engine.connect() as connection:
            return [_schedule(row) for row in connection.execute(query.order_by(_schedules.c.due_at))]

    def move_on(self, schedule: Schedule, due_at: int, ticks: Sequence[Tick]) -> bool:
        """Store what was due until now, and the next time; false if another worker has done so.

        Args:
            schedule: as it was read.
            due_at: the next time.
            ticks: what was due before that.
        """
        mine = (
            sa.update(_schedules)
            .where(_schedules.c.id == schedule.id, _schedules.c.due_at == schedule.due_at)
            .values(due_at=due_at)
        )
        with self._engine.begin() as connection:
            if connection.execute(mine).rowcount == 0:
                return False
            self._add_ticks(connection, ticks)
        return True

    def add_ticks(self, ticks: Sequence[Tick]) -> int:
        """Store ticks of which there are no rows yet; how many those are."""
        with self._engine.begin() as connection:
            return self._add_ticks(connection, ticks)

    def _add_ticks(self, connection: sa.Connection, ticks: Sequence[Tick]) -> int:
        rows = [{**asdict(tick), "changed_at": _now()} for tick in ticks]
        statement = self._insert(_ticks)
        return sum(connection.execute(statement, row).rowcount for row in rows)

    def ask_again(self, schedule: Schedule, times: Iterable[int]) -> list[int]:
        """Make those times due, as past times that somebody asked for, for which there is no run; these times."""
        asked: list[int] = []
        with self._engine.begin() as connection:
            for at in times:
                tick = Tick(schedule_id=schedule.id, at=at, kind=BACKFILL)
                if self._add_ticks(connection, [tick]) or self._reset(connection, tick):
                    asked.append(at)
        return asked

    def _reset(self, connection: sa.Connection, tick: Tick) -> bool:
        mine = _same(tick)
        reset = sa.update(_ticks).where(mine, _ticks.c.run_id.is_(None), sa.not_(_ticks.c.is_open))
        values = {"kind": BACKFILL, "state": DUE, "is_open": True, "count": 1, "reason": None, "error": None}
        return connection.execute(reset.values(**values, owner=None, changed_at=_now())).rowcount > 0

    def ticks_at(self, schedule_id: str, times: Iterable[int]) -> list[Tick]:
        """The ticks of a schedule for some times, as far as there are any."""
        wanted = set(times)
        query = sa.select(_ticks).where(_ticks.c.schedule_id == schedule_id)
        with self._engine.connect() as connection:
            return [tick for tick in map(_tick, connection.execute(query)) if tick.at in wanted]

    def open_ticks(self, schedule_id: str) -> list[Tick]:
        """The ticks of a schedule that are due or whose run is not known to be over, in the order of their times."""
        return self._read(_ticks.c.is_open, _ticks.c.schedule_id == schedule_id)

    def to_serve(self, schedule_id: str | None = None) -> list[Tick]:
        """The same, of one schedule or all; of the past times that somebody asked for only the first that is due.

        These may be thousands, and none begins before the one before it is over.
        """
        other = _ticks.alias("other")
        asked = (other.c.is_open, other.c.kind == BACKFILL, other.c.state == DUE)
        first = sa.select(sa.func.min(other.c.at)).where(other.c.schedule_id == _ticks.c.schedule_id, *asked)
        wanted = sa.or_(
            _ticks.c.kind != BACKFILL, _ticks.c.state == STARTED, _ticks.c.at == first.scalar_subquery()
        )
        mine = () if schedule_id is None else (_ticks.c.schedule_id == schedule_id,)
        return self._read(_ticks.c.is_open, wanted, *mine)

    def _read(self, *conditions: sa.ColumnElement[bool]) -> list[Tick]:
        query = sa.select(_ticks).where(*conditions).order_by(_ticks.c.schedule_id, _ticks.c.at)
        with self._engine.connect() as connection:
            return [_tick(row) for row in connection.execute(query)]

    def waiting(self, schedule_id: str) -> int:
        """How many ticks of a schedule are due and have no run yet."""
        due = (_ticks.c.is_open, _ticks.c.schedule_id == schedule_id, _ticks.c.state == DUE)
        with self._engine.connect() as connection:
            return connection.execute(sa.select(sa.func.count()).select_from(_ticks).where(*due)).scalar_one()

    def close_ended(self) -> None:
        """Note which runs are over."""
        runs = self._runs
        at_work = sa.exists().where(runs.c.workflow_uuid == _ticks.c.run_id, runs.c.status.not_in(_OVER))
        ended = sa.and_(_ticks.c.is_open, _ticks.c.state == STARTED, sa.not_(at_work))
        with self._engine.connect() as connection:  # looked at often, written seldom
            if connection.execute(sa.select(_ticks.c.at).where(ended).limit(1)).first() is None:
                return
        with self._engine.begin() as connection:
            connection.execute(sa.update(_ticks).where(ended).values(is_open=False))

    def claim(self, tick: Tick, owner: str) -> bool:
        """Take a due tick to start it; false if it has changed since it was read."""
        free = _ticks.c.owner.is_(None) if tick.owner is None else _ticks.c.owner == tick.owner
        return self._write(tick, sa.and_(_ticks.c.state == DUE, free), owner=owner)

    def settle(self, tick: Tick, owner: str, **values: Any) -> bool:
        """Store what became of a tick that this owner has claimed, and let go of it."""
        return self._write(tick, _ticks.c.owner == owner, owner=None, **values)

    def explain(self, tick: Tick, reason: str) -> None:
        """Store why a due tick waits."""
        self._write(tick, _ticks.c.state == DUE, reason=reason)

    def forget_ticks(self, before: int) -> int:
        """Remove what became of ticks before a time; how many those are."""
        with self._engine.begin() as connection:
            old = sa.and_(sa.not_(_ticks.c.is_open), _ticks.c.changed_at < before)
            return connection.execute(sa.delete(_ticks).where(old)).rowcount

    def _write(self, tick: Tick, condition: sa.ColumnElement[bool], **values: Any) -> bool:
        with self._engine.begin() as connection:
            statement = sa.update(_ticks).where(_same(tick), condition).values(**values, changed_at=_now())
            return connection.execute(statement).rowcount > 0

    def _insert(self, table: Any) -> Any:
        """An insertion that leaves a row alone that is there, and tells by its row count which it was."""
        insert = (sqlite_insert if self._engine.dialect.name == "sqlite" else postgres_insert)(table)
        return insert.on_conflict_do_nothing().execution_options(preserve_rowcount=True)


def _same(tick: Tick) -> sa.ColumnElement[bool]:
    return sa.and_(_ticks.c.schedule_id == tick.schedule_id, _ticks.c.at == tick.at)


def _schedule(row: Any) -> Schedule:
    columns: dict[str, Any] = dict(row._mapping)  # noqa: SLF001 - SQLAlchemy's public name
    columns["inputs"] = columns["inputs"] or {}
    return Schedule(**columns)


def _tick(row: Any) -> Tick:
    return Tick(**row._mapping)  # noqa: SLF001 - SQLAlchemy's public name
