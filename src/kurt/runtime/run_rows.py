"""Rows of DBOS's table of workflows as runs."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, NamedTuple

from kurt.runtime import names
from kurt.runtime.reading import NEVER, Run, decode, decode_error, moment
from kurt.runtime.states import PENDING, shown_state
from kurt.runtime.wait_words import shown, waits_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kurt.runtime.run_query import Dialect, RunQuery, Sql
    from kurt.types import Json, JsonObject


class Row(NamedTuple):
    """The columns that every query about runs gives, in their order."""

    id: str
    status: str
    name: str
    queue: str | None
    priority: int
    created: int
    started: int | None
    completed: int | None
    delayed: int | None
    executor: str | None
    parent: str | None
    forked: str | None
    version: str | None
    user: str | None
    attributes: Any
    serialization: str | None
    deadline: int | None
    event: str | None
    event_serialization: str | None
    error: str | None
    summary: str | None
    output: str | None


_ALL = 2**62  # SQLite knows no OFFSET without LIMIT
_PLAIN = (
    "workflow_uuid",
    "status",
    "name",
    "queue_name",
    "priority",
    "created_at",
    "started_at_epoch_ms",
    "completed_at",
    "delay_until_epoch_ms",
    "executor_id",
    "parent_workflow_id",
    "forked_from",
    "application_version",
    "authenticated_user",
    "attributes",
    "serialization",
    "workflow_deadline_epoch_ms",
)
_COLUMNS = ", ".join(f"w.{column}" for column in _PLAIN)
_WAITS = (
    " LEFT JOIN @workflow_events e ON w.status = 'PENDING' AND e.workflow_uuid = w.workflow_uuid"
    " AND e.key = 'waiting_for'"
)
_TELLING = (  # what a run at work waits for, or how many rows failed in one that succeeded
    " LEFT JOIN @workflow_events e ON e.workflow_uuid = w.workflow_uuid"
    " AND e.key = CASE w.status WHEN 'PENDING' THEN 'waiting_for' WHEN 'ENQUEUED' THEN 'waiting_for'"
    f" WHEN 'SUCCESS' THEN '{names.FAILED_ROWS_EVENT}' END"
)
_JOINS = f" LEFT JOIN @workflow_output o ON o.workflow_uuid = w.workflow_uuid{_TELLING}"

SINGLE = (
    f"SELECT {_COLUMNS}, e.value, e.serialization, coalesce(o.error, w.error), NULL, coalesce(o.output, w.output)"  # noqa: S608 - constants
    f" FROM @workflow_status w{_JOINS} WHERE w.workflow_uuid = ?"
)
"""One run with its outputs, by id."""

COUNTING = (
    "SELECT w.status, CASE WHEN w.status = 'PENDING' THEN w.executor_id END,"  # noqa: S608 - constants
    " CASE WHEN w.status = 'PENDING' AND e.value <> 'null' THEN 1 ELSE 0 END, count(*)"
    f" FROM @workflow_status w{_WAITS} WHERE w.parent_workflow_id IS NULL GROUP BY 1, 2, 3"
)
"""Runs by stored state, owner of pending ones, and whether they wait."""


def listing(query: RunQuery, found: Sequence[Sql], dialect: Dialect) -> tuple[str, list[Any]]:
    """The statement of a listing: the runs are chosen first, what belongs to them is joined afterwards."""
    way = "ASC" if query.reverse else "DESC"
    order = f"ORDER BY w.created_at {way}, w.workflow_uuid {way}"
    reach = "" if query.limit is None else f" LIMIT {query.limit + query.offset}"
    chosen = " UNION ALL ".join(
        f"SELECT * FROM (SELECT {_COLUMNS} FROM @workflow_status w {sql.where} {order}{reach}) b"  # noqa: S608 - constants; what users give is bound
        for sql in found
    )
    statement = (
        f"SELECT {_COLUMNS}, e.value, e.serialization, o.error, {_summary(dialect)}, NULL"  # noqa: S608 - see above
        f" FROM (SELECT * FROM ({chosen}) w {order}{_page(query)}) w{_JOINS} {order}"
    )
    return statement, [value for sql in found for value in sql.values]


def _page(query: RunQuery) -> str:
    limit = _ALL if query.limit is None else query.limit
    return f" LIMIT {limit} OFFSET {query.offset}"


def _summary(dialect: Dialect) -> str:
    """Only a declared workflow's result has a summary; others are not looked into."""
    return f"CASE WHEN w.name = '{names.RUN_WORKFLOW}' AND w.status = 'SUCCESS' THEN {dialect.summary} END"


def pending_owner(row: Sequence[Any]) -> str | None:
    """The owner of a pending run: whether it lives decides what people see."""
    given = Row(*row)
    return given.executor if given.status == PENDING else None


def run_of(row: Sequence[Any], live: set[str]) -> Run:
    """A row as a run.

    Args:
        row: the columns of `Row`.
        live: owners of pending runs that live.
    """
    given = Row(*row)
    facts = _facts(given.attributes)
    event = decode(given.event, given.event_serialization)
    # One that was handed back to its queue while it asked still asks: whoever takes it up finds the answer.
    asks = given.status in (PENDING, "ENQUEUED")
    waits = [shown(wait) for wait in waits_of(event)] if asks else []
    outputs, summary = _result(given)
    return Run(
        id=given.id,
        name=facts.get("workflow") or given.name,
        status=shown_state(given.status, waiting=bool(waits), owner_alive=given.executor in live),
        workflow=given.name,
        kind=facts.get("kind") or "python",
        file=facts.get("file"),
        queue=_shown_queue(given.queue) or facts.get("queue"),
        priority=given.priority,
        created_at=moment(given.created) or NEVER,
        started_at=moment(_started(given, facts)),
        completed_at=moment(given.completed),
        scheduled_for=moment(given.delayed) if given.status == "DELAYED" else None,
        executor_id=None if given.executor == names.NOBODY else given.executor,
        parent_id=given.parent,
        forked_from=given.forked,
        app_version=given.version,
        user_id=facts.get("user_id") or given.user,
        workspace_id=facts.get("workspace_id"),
        waiting_for=waits[0] if waits else None,
        waits=waits,
        error=decode_error(given.error, given.serialization) or _too_late(given),
        outputs=outputs,
        summary=summary | (_failed_rows(event) if given.status == "SUCCESS" else {}),
        attributes=facts,
    )


def _too_late(given: Row) -> JsonObject | None:
    """The error of a run that DBOS cancelled because its time was over; DBOS itself notes none."""
    if given.status != "CANCELLED" or given.deadline is None or (given.completed or 0) < given.deadline:
        return None
    return {
        "type": "RunTimeout",
        "message": "it took longer than its timeout",
        "hint": "raise `timeout:` of the file, --timeout or the setting WORKFLOW.TIMEOUT; "
        f"kurt workflows resume {given.id} goes on without a limit",
    }


def _started(given: Row, facts: JsonObject) -> int | None:
    """When a run began to work. DBOS notes it only for runs that came from a queue; others begin as they are made."""
    if given.started is not None:
        return given.started
    waits = given.status in {"ENQUEUED", "DELAYED"}
    # A cancelled run is on no queue any more; one that was never taken from its queue has not begun.
    never = (
        given.status == "CANCELLED"
        and given.parent is None
        and "queue" in facts
        and "foreground" not in facts
    )
    return None if waits or never else given.created


def _facts(attributes: Any) -> JsonObject:
    """Kurt's own attributes; the driver of Postgres has read the JSON already."""
    read = json.loads(attributes) if isinstance(attributes, str) else attributes
    return (read or {}).get(names.ATTRIBUTES_KEY) or {}


def _shown_queue(queue: str | None) -> str | None:
    """A queue's name for people: private and internal ones are nobody's business."""
    if queue is None or queue.startswith((names.PRIVATE_PREFIX, "_dbos")):
        return None
    return queue.removesuffix(names.ITEMS_SUFFIX)


def _result(given: Row) -> tuple[Json, dict[str, int]]:
    """What a run returned, and the counts of what it lived with."""
    if given.summary is not None:
        return None, json.loads(given.summary) or {}
    value = decode(given.output, given.serialization)
    if given.name == names.RUN_WORKFLOW and isinstance(value, dict) and "outputs" in value:
        return value["outputs"], value.get("summary") or {}
    return value, {}


def _failed_rows(event: Json) -> dict[str, int]:
    """Rows of steps that went on without some of theirs, from the event that tells of them."""
    told = event if isinstance(event, dict) else {}
    return {key: value for key in ("rows", "rows_failed") if isinstance(value := told.get(key), int)}
