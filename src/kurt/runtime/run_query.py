"""Which runs are asked for, and the SQL that finds them.

In all SQL of the read side `?` stands for a value and `@` stands before the name of a table of DBOS.

States are written into the SQL as literals: a bound state cannot use DBOS's partial indexes, and a list would
scan the whole history. Where an index covers several states its own condition is repeated for SQLite, which
does not see that one state is among them.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from itertools import product
from typing import Any

from kurt.errors import UsageError
from kurt.runtime import names
from kurt.runtime.states import INTERRUPTED, PENDING, RUNNING, STATES, WAITING, stored_state

_FAILED_INDEX = "w.status IN ('ERROR', 'CANCELLED', 'MAX_RECOVERY_ATTEMPTS_EXCEEDED') AND "
_WAITING_INDEX = "w.status IN ('ENQUEUED', 'PENDING') AND "
_CONDITIONS = {
    PENDING: "w.status = 'PENDING'",
    "DELAYED": "w.status = 'DELAYED'",
    "ENQUEUED": f"{_WAITING_INDEX}w.status = 'ENQUEUED'",
    "SUCCESS": "w.status = 'SUCCESS'",
    "ERROR": f"{_FAILED_INDEX}w.status = 'ERROR'",
    "CANCELLED": f"{_FAILED_INDEX}w.status = 'CANCELLED'",
    "MAX_RECOVERY_ATTEMPTS_EXCEEDED": f"{_FAILED_INDEX}w.status = 'MAX_RECOVERY_ATTEMPTS_EXCEEDED'",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class RunQuery:
    """A listing; what is not given is not asked for.

    Attributes:
        status: shown states, any of them.
        name: the workflow's name, as shown or as DBOS knows it.
        queue: the named queue.
        user: whose runs.
        workspace: in which workspace.
        version: the application version.
        parent: children of this run; without it only what users started is listed.
        forked_from: copies of this run.
        since: made at this time or later.
        until: made before this time.
        prefix: the beginning of the id.
        executor: the executor that owns or owned it.
        limit: how many at most; None for all.
        offset: how many to leave out first.
        reverse: oldest first in place of newest first.
    """

    status: tuple[str, ...] = ()
    name: str | None = None
    queue: str | None = None
    user: str | None = None
    workspace: str | None = None
    version: str | None = None
    parent: str | None = None
    forked_from: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    prefix: str | None = None
    executor: str | None = None
    limit: int | None = 50
    offset: int = 0
    reverse: bool = False

    def __post_init__(self) -> None:
        for state in self.status:
            if state not in STATES:
                raise UsageError(f"{state!r} is not a state of a run", hint=f"use one of {', '.join(STATES)}")
        if self.offset < 0 or (self.limit is not None and self.limit < 0):
            raise UsageError("limit and offset cannot be negative", hint="use 0 or more")
        for moment in (self.since, self.until):
            if moment is not None and moment.tzinfo is None:
                raise UsageError("a time without a time zone is ambiguous", hint="add Z for UTC")

    @property
    def wants_owners(self) -> bool:
        """Whether it matters which owners live: the states asked for differ by that."""
        asked = {RUNNING, INTERRUPTED, WAITING} & set(self.status)
        return bool(asked) and len(asked) < 3


@dataclass(slots=True)
class Sql:
    """A piece of SQL under construction.

    Attributes:
        conditions: parts of WHERE, all of which must hold.
        values: values for the placeholders `?` in order.
    """

    conditions: list[str] = field(default_factory=list)
    values: list[Any] = field(default_factory=list)

    def add(self, condition: str, *values: Any) -> None:
        """Add a condition with its values."""
        self.conditions.append(condition)
        self.values.extend(values)

    @property
    def where(self) -> str:
        """The whole WHERE clause, or nothing."""
        return "WHERE " + " AND ".join(self.conditions) if self.conditions else ""


@dataclass(frozen=True, slots=True)
class Dialect:
    """Where the two back ends differ.

    Attributes:
        attribute: an expression for one of Kurt's attributes of `w`, `{}` for its key.
        envelope: an expression for the output of checkpoint `o` without a long value.
        summary: an expression for the `summary` of the result `o` as JSON text.
        prefix_by_range: whether ids compare by their characters, so that a range finds a prefix in the index.
    """

    attribute: str
    envelope: str
    summary: str
    prefix_by_range: bool

    def prefix(self, sql: Sql, prefix: str) -> None:
        """Add the condition that an id begins with `prefix`."""
        if self.prefix_by_range:
            sql.add("w.workflow_uuid >= ? AND w.workflow_uuid < ?", prefix, prefix + "\U0010ffff")
        else:
            sql.add("starts_with(w.workflow_uuid, ?)", prefix)


def _filters(query: RunQuery, dialect: Dialect, stored: str | None, *, shown: bool) -> Sql:
    """All conditions of a query but those on the owner.

    Args:
        query: what is asked for.
        dialect: of the back end.
        stored: one state as it is stored, or None for all of them.
        shown: whether a name is the one that people see, or else the one that only DBOS knows.
    """
    sql = Sql()
    if query.parent is not None:
        sql.add("w.parent_workflow_id = ?", query.parent)
    elif stored in {None, "SUCCESS"}:
        sql.add("w.parent_workflow_id IS NULL")
    else:
        # The few runs in other states have their own indexes; said in this way, SQLite does not walk through
        # the index of all runs that no other run started.
        sql.add("coalesce(w.parent_workflow_id, '') = ''")
    if query.name is not None:
        _name(query.name, sql, dialect, shown=shown)
    if query.queue is not None:
        _queue(query.queue, sql, dialect)
    if query.user is not None:
        sql.add(f"coalesce({dialect.attribute.format('user_id')}, w.authenticated_user) = ?", query.user)
    if query.workspace is not None:
        sql.add(f"{dialect.attribute.format('workspace_id')} = ?", query.workspace)
    if query.prefix is not None:
        dialect.prefix(sql, query.prefix)
    _columns(query, sql)
    if stored is not None:
        sql.add(_CONDITIONS[stored])
    return sql


def _name(name: str, sql: Sql, dialect: Dialect, *, shown: bool) -> None:
    """One of the two names of a run, each of which has its index; no run has both."""
    seen = f"coalesce({dialect.attribute.format('workflow')}, w.name)"
    if shown:
        sql.add(f"{seen} = ?", name)
    else:
        sql.add(f"w.name = ? AND {seen} <> ?", name, name)


def _queue(queue: str, sql: Sql, dialect: Dialect) -> None:
    """Where a run is now, if that is a named queue; else the queue to which it belongs."""
    nowhere = f"(w.queue_name IS NULL OR substr(w.queue_name, 1, {len(names.PRIVATE_PREFIX)}) = ?)"
    sql.add(
        f"(w.queue_name IN (?, ?) OR ({nowhere} AND {dialect.attribute.format('queue')} = ?))",
        queue,
        names.items_queue(queue),
        names.PRIVATE_PREFIX,
        queue,
    )


def _columns(query: RunQuery, sql: Sql) -> None:
    for column, value in (
        ("application_version", query.version),
        ("forked_from", query.forked_from),
        ("executor_id", query.executor),
    ):
        if value is not None:
            sql.add(f"w.{column} = ?", value)
    if query.since is not None:
        sql.add("w.created_at >= ?", int(query.since.timestamp() * 1000))
    if query.until is not None:
        sql.add("w.created_at < ?", int(query.until.timestamp() * 1000))


def branches(query: RunQuery, dialect: Dialect, live: set[str]) -> list[Sql]:
    """Sets of conditions, each of which an index serves; their union is what the query asks for, nothing twice.

    Args:
        query: what is asked for.
        dialect: of the back end.
        live: owners of pending runs that live, as far as `query.wants_owners`.
    """
    found: list[Sql] = []
    states = dict.fromkeys(stored_state(state) for state in query.status) or (None,)
    names_of = (True, False) if query.name is not None else (True,)
    for stored, shown in product(states, names_of):
        sql = _filters(query, dialect, stored, shown=shown)
        if stored == PENDING and query.wants_owners:
            _owned(sql, set(query.status), sorted(live))
        found.append(sql)
    return found


def _owned(sql: Sql, asked: set[str], live: list[str]) -> None:
    """The states of a pending run by its owner and by what it waits for."""
    marks = ", ".join("?" * len(live)) or "NULL"
    waiting = (
        "EXISTS (SELECT 1 FROM @workflow_events e WHERE e.workflow_uuid = w.workflow_uuid"
        " AND e.key = 'waiting_for' AND e.value <> 'null')"
    )
    parts: list[str] = []
    values: list[Any] = []
    if WAITING in asked:
        parts.append(waiting)
    if RUNNING in asked:
        parts.append(f"(w.executor_id IN ({marks}) AND NOT {waiting})")
        values += live
    if INTERRUPTED in asked:
        parts.append(f"(coalesce(w.executor_id IN ({marks}), FALSE) = FALSE AND NOT {waiting})")
        values += live
    sql.add(f"({' OR '.join(parts)})", *values)
