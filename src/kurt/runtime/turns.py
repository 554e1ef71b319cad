"""Whose turn it is: how many runs of one workflow are at work at once, in all processes.

A run asks for its turn whenever it begins to be executed, so also when it is resumed. Who was admitted keeps its turn
until the run is over, through crashes and waits. Those that wait are admitted in the order in which they first asked, as
far as somebody executes them.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from kurt.runtime.states import OVER, stored_state

if TYPE_CHECKING:
    from dbos._sys_db import SystemDatabase

_SEEN = 10_000
"""Milliseconds after which a run that asks no more is passed over: nobody executes it."""

_OVER = sorted(stored_state(state) for state in OVER)
_slots = sa.table(
    "kurt_run_slots",
    *(sa.column(name, sa.Text) for name in ("key", "run_id")),
    *(sa.column(name, sa.BigInteger) for name in ("asked_at", "seen_at", "admitted_at")),
)


def in_the_way(database: SystemDatabase, key: str, run_id: str) -> list[str]:
    """The other runs of a key that have their turn and are not over; only reads."""
    with database.engine.connect() as connection:
        return [row.run_id for row in _admitted(database, connection, key) if row.run_id != run_id]


def ask(database: SystemDatabase, key: str, run_id: str, limit: int) -> list[str]:
    """Ask for a turn.

    Args:
        database: DBOS's.
        key: what runs of one workflow have in common.
        run_id: who asks.
        limit: how many may have their turn at once.

    Returns:
        the runs in its way: those that have their turn, and those that asked before; nothing if it is this run's turn.
    """
    now = int(time.time() * 1000)
    with database.engine.begin() as connection:
        if database.engine.dialect.name != "sqlite":  # there a transaction has the file to itself
            connection.execute(sa.select(sa.func.pg_advisory_xact_lock(sa.func.hashtext(key))))
        _forget_ended(database, connection, key, run_id)
        rows = list(connection.execute(sa.select(_slots).where(_slots.c.key == key)))
        mine = next((row for row in rows if row.run_id == run_id), None)
        admitted = [row.run_id for row in rows if row.admitted_at is not None]
        if run_id in admitted:
            return []
        ahead = [*admitted, *_before(rows, mine, now)]
        is_turn = len(ahead) < limit
        _note(connection, key, run_id, mine is None, now, now if is_turn else None)
    return [] if is_turn else ahead


def _before(rows: Sequence[Any], mine: Any, now: int) -> list[str]:
    """Those that wait and have asked before, in that order."""
    waiting = [row for row in rows if row.admitted_at is None and row.seen_at > now - _SEEN]
    asked = (now, "") if mine is None else (mine.asked_at, mine.run_id)
    ahead = sorted((row.asked_at, row.run_id) for row in waiting if (row.asked_at, row.run_id) < asked)
    return [run_id for _, run_id in ahead]


def _note(
    connection: sa.Connection, key: str, run_id: str, is_new: bool, now: int, admitted_at: int | None
) -> None:
    if is_new:
        values = {"key": key, "run_id": run_id, "asked_at": now, "seen_at": now, "admitted_at": admitted_at}
        connection.execute(sa.insert(_slots).values(values))
        return
    mine = (_slots.c.key == key, _slots.c.run_id == run_id)
    connection.execute(sa.update(_slots).where(*mine).values(seen_at=now, admitted_at=admitted_at))


def _forget_ended(database: SystemDatabase, connection: sa.Connection, key: str, run_id: str) -> None:
    status = database.tables.workflow_status
    at_work = sa.exists().where(status.c.workflow_uuid == _slots.c.run_id, status.c.status.not_in(_OVER))
    ended = (_slots.c.key == key, _slots.c.run_id != run_id, sa.not_(at_work))
    connection.execute(sa.delete(_slots).where(*ended))


def _admitted(database: SystemDatabase, connection: sa.Connection, key: str) -> list[Any]:
    status = database.tables.workflow_status
    query = sa.select(_slots.c.run_id).where(
        _slots.c.key == key,
        _slots.c.admitted_at.is_not(None),
        sa.exists().where(status.c.workflow_uuid == _slots.c.run_id, status.c.status.not_in(_OVER)),
    )
    return list(connection.execute(query.order_by(_slots.c.admitted_at)))
