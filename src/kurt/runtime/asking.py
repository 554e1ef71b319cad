"""What runs wait for, and what people answer: both stand in the database beside the runs, and draw no step numbers.

The event `waiting_for` of the run that the user started tells of the wait that is shown first, and under `waits` of all
that go on in the run and its children. While nothing else is to be done in it, `resting` names the run and its children:
nobody has to execute them until an answer comes, a message is sent, or a time is over.

An answer is an event of that run under `answer.` and the id of the question. It is written once, by whoever is first: a
person, or the step itself when its time is over.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from kurt.runtime import names, serializer
from kurt.runtime.wait_words import APPROVAL, MESSAGE, TIME, TURN, kind_of, moment_text, waits_of

if TYPE_CHECKING:
    from dbos._sys_db import SystemDatabase

    from kurt.types import JsonObject

_ORDER = (APPROVAL, MESSAGE, TIME, TURN)
_CHUNK = 200
_UNFINISHED = ("PENDING", "ENQUEUED", "DELAYED")


def answer_key(ask: str) -> str:
    """The key of the event that is the answer to a question."""
    return f"{names.ANSWER_PREFIX}{ask}"


def begin(database: SystemDatabase, root_id: str, wait: JsonObject) -> None:
    """Tell that a run waits; what it said of the same wait before goes.

    Args:
        database: DBOS's.
        root_id: the run that the user started.
        wait: `kind`, `path`, `run_id` (of the run or child that waits), `token`, and more by its kind.
    """

    def change(waits: list[JsonObject]) -> list[JsonObject]:
        place = _place(wait)
        return [*(one for one in waits if _place(one) != place), wait]

    _change(database, root_id, change)


def end(database: SystemDatabase, root_id: str, token: str) -> None:
    """Tell that a wait is over."""
    _change(database, root_id, lambda waits: [one for one in waits if one.get("token") != token])


def forget(database: SystemDatabase, root_id: str, run_id: str, path: str) -> None:
    """Tell that a wait is over of which an earlier execution has told."""
    place = (run_id, path)
    _change(database, root_id, lambda waits: [one for one in waits if _place(one) != place])


def clear(database: SystemDatabase, root_id: str) -> None:
    """Tell that a run waits for nothing: it is over, or begins again."""
    if event_of(database, root_id) is not None:
        _change(database, root_id, lambda _: [])


def _place(wait: JsonObject) -> tuple[Any, Any]:
    return wait.get("run_id"), wait.get("path")


def _change(
    database: SystemDatabase, root_id: str, change: Callable[[list[JsonObject]], list[JsonObject]]
) -> None:
    """Change the list of waits, and say that the run does not rest."""
    with database.engine.begin() as connection:
        waits = change(waits_of(_locked(database, connection, root_id)))
        _write(database, connection, root_id, _event(waits))


def _event(waits: list[JsonObject], resting: Sequence[str] = ()) -> JsonObject | None:
    if not waits:
        return None
    ordered = sorted(waits, key=lambda one: _ORDER.index(kind_of(one)))
    event = {**ordered[0], "waits": ordered}
    return {**event, "resting": list(resting)} if resting else event


def _locked(database: SystemDatabase, connection: sa.Connection, root_id: str) -> Any:
    """The event as it is, which nobody else changes until the transaction ends."""
    table = database.tables.workflow_events
    mine = (table.c.workflow_uuid == root_id, table.c.key == names.WAITING_EVENT)
    null = {"workflow_uuid": root_id, "key": names.WAITING_EVENT, "value": "null"}
    # SQLite's driver begins a transaction, which has the file to itself, only with what writes.
    connection.execute(
        database.dialect.insert(table).values(**null, serialization=serializer.NAME).on_conflict_do_nothing()
    )
    if database.engine.dialect.name != "sqlite":
        connection.execute(sa.select(table.c.key).where(*mine).with_for_update())
    row = connection.execute(sa.select(table.c.value, table.c.serialization).where(*mine)).first()
    return _loaded(row)


def _loaded(row: Any) -> Any:
    """The value of an event; one that something else than Kurt has written is none."""
    return serializer.loads(row[0]) if row is not None and row[1] == serializer.NAME else None


def _write(database: SystemDatabase, connection: sa.Connection, root_id: str, value: Any) -> None:
    table = database.tables.workflow_events
    stored = {"value": serializer.dumps(value), "serialization": serializer.NAME}
    statement = database.dialect.insert(table).values(
        workflow_uuid=root_id, key=names.WAITING_EVENT, **stored
    )
    connection.execute(statement.on_conflict_do_update(index_elements=["workflow_uuid", "key"], set_=stored))


def event_of(database: SystemDatabase, root_id: str) -> Any:
    """The event `waiting_for` of a run, None if it waits for nothing."""
    return events_of(database, [root_id]).get(root_id)


def events_of(database: SystemDatabase, root_ids: Iterable[str]) -> dict[str, Any]:
    """The events `waiting_for` of those of the runs that wait."""
    table = database.tables.workflow_events
    found: dict[str, Any] = {}
    with database.engine.connect() as connection:
        for some in _chunks(list(root_ids)):
            query = sa.select(table.c.value, table.c.serialization, table.c.workflow_uuid).where(
                table.c.workflow_uuid.in_(some), table.c.key == names.WAITING_EVENT
            )
            found.update({row[2]: value for row in connection.execute(query) if (value := _loaded(row))})
    return found


def answer_json(
    path: str,
    *,
    approved: bool,
    by: str | None,
    fields: JsonObject,
    comment: str | None = None,
    timed_out: bool = False,
) -> JsonObject:
    """An answer as it is stored.

    Args:
        path: the step's path, as people see it.
        approved: approved or rejected.
        by: who answers; None for nobody.
        fields: the value of each field.
        comment: what they say to it.
        timed_out: nobody has answered in time.
    """
    at = moment_text(time.time())
    answer = {"approved": approved, "by": by, "at": at, "comment": comment, "timed_out": timed_out}
    return {"path": path, "answer": answer, "fields": fields}


def put_answer(database: SystemDatabase, root_id: str, ask: str, answer: JsonObject) -> JsonObject | None:
    """Answer a question; None if this is the answer now, else the one that was there before."""
    table = database.tables.workflow_events
    key = answer_key(ask)
    with database.engine.begin() as connection:
        written = connection.execute(
            database.dialect.insert(table)
            .values(
                workflow_uuid=root_id,
                key=key,
                value=serializer.dumps(answer),
                serialization=serializer.NAME,
            )
            .on_conflict_do_nothing()
            .returning(table.c.key)
        )
        if written.first() is not None:
            return None
    return answers(database, {ask: root_id})[ask]


def answers(database: SystemDatabase, asks: Mapping[str, str]) -> dict[str, JsonObject]:
    """The answers to those of the questions that have one.

    Args:
        database: DBOS's.
        asks: the run that the user started, by the id of the question.
    """
    table = database.tables.workflow_events
    found: dict[str, JsonObject] = {}
    with database.engine.connect() as connection:
        for some in _chunks(list(asks)):
            query = sa.select(table.c.value, table.c.serialization, table.c.key).where(
                table.c.workflow_uuid.in_({asks[ask] for ask in some}),
                table.c.key.in_([answer_key(ask) for ask in some]),
            )
            for row in connection.execute(query):
                found[row[2].removeprefix(names.ANSWER_PREFIX)] = _loaded(row)
    return found


def _chunks(items: list[str]) -> Iterable[list[str]]:
    return (items[start : start + _CHUNK] for start in range(0, len(items), _CHUNK))


@dataclass(frozen=True, slots=True)
class Rested:
    """What rests in this process.

    Attributes:
        root_id: the run that the user started.
        run_ids: itself and its children, as far as they are here.
        tokens: of their waits.
        executor: who executes them.
        give_up: it will do so no longer, even while it lives.
    """

    root_id: str
    run_ids: Collection[str]
    tokens: Collection[str]
    executor: str
    give_up: bool = False


def rest(database: SystemDatabase, rested: Rested) -> bool:
    """Note that nobody has to execute a run for now; False if there is more to it than what rests here."""
    root_id = rested.root_id
    with database.engine.begin() as connection:
        event = _locked(database, connection, root_id)
        waits = waits_of(event)
        family = _unfinished(database, connection, root_id)
        if {str(one.get("token")) for one in waits} != set(rested.tokens) or any(
            row.status != "PENDING" or row.executor_id != rested.executor or row.id not in rested.run_ids
            for row in family
        ):
            return False
        if any(has_time(one) for one in waits) or any(row.deadline for row in family):
            return False
        if rested.give_up and any(row.dedup for row in family):
            return False  # it holds back others of its kind by its place in the queue
        if _due(database, {root_id: waits}):
            return False  # whoever answered saw that somebody executes the run
        ids = sorted(row.id for row in family)
        _write(database, connection, root_id, _event(waits, ids))
        status = database.tables.workflow_status
        # Executions count against a limit that keeps a run which fails its executors from starting for ever.
        values: dict[str, Any] = {"recovery_attempts": 0}
        if rested.give_up:  # nothing more is stored by those that end now, and no place in a queue is held
            values |= {"executor_id": names.NOBODY, "owner_xid": names.NOBODY, "queue_name": None}
        for some in _chunks(ids):
            connection.execute(sa.update(status).where(status.c.workflow_uuid.in_(some)).values(**values))
    return True


def has_time(wait: JsonObject) -> bool:
    """Whether a wait ends by itself at some time, for which somebody must be there."""
    return kind_of(wait) in (TIME, TURN) or wait.get("until") is not None


def _unfinished(database: SystemDatabase, connection: sa.Connection, root_id: str) -> list[Any]:
    """The run and its children, as far as they are not over; ids of all of them begin with that of the run."""
    status = database.tables.workflow_status
    query = sa.select(
        status.c.workflow_uuid.label("id"),
        status.c.status,
        status.c.executor_id,
        status.c.workflow_deadline_epoch_ms.label("deadline"),
        status.c.deduplication_id.label("dedup"),
        status.c.parent_workflow_id.label("parent"),
    )
    members = list(connection.execute(query.where(status.c.workflow_uuid == root_id)))
    level = [root_id]
    while level:
        below = [
            row
            for some in _chunks(level)
            for row in connection.execute(query.where(status.c.parent_workflow_id.in_(some)))
        ]
        members += below
        level = [row.id for row in below]
    return [row for row in members if row.status in _UNFINISHED]


def resting_among(database: SystemDatabase, rows: Sequence[Any], dead: Collection[str]) -> set[str]:
    """Those of some unfinished runs and children of dead executors that nobody has to execute for now.

    Thousands of runs may wait for people, so they are looked at together.

    Args:
        database: DBOS's.
        rows: the runs and children: `id`, `status`, `executor_id`.
        dead: the executors.
    """
    by_root: dict[str, list[Any]] = {}
    for row in rows:
        by_root.setdefault(row.id.split(".", 1)[0], []).append(row)
    resting: dict[str, set[str]] = {}
    waits: dict[str, list[JsonObject]] = {}
    for root_id, event in events_of(database, by_root).items():
        ids = set(event.get("resting", ())) if isinstance(event, dict) else set[str]()
        if ids and ids.issuperset(row.id for row in by_root[root_id]):
            resting[root_id], waits[root_id] = ids, waits_of(event)
    due = _due(database, waits)
    return {
        run_id
        for root_id, ids in resting.items()
        if root_id not in due and _is_whole(database, root_id, by_root[root_id], ids, dead)
        for run_id in ids
    }


def _is_whole(
    database: SystemDatabase, root_id: str, rows: Sequence[Any], ids: set[str], dead: Collection[str]
) -> bool:
    """Whether all that is not over of a run belongs to these dead executors and rests."""
    if all(row.executor_id == names.NOBODY for row in rows):
        return True  # it was given up as a whole, and is taken back so
    with database.engine.connect() as connection:
        family = _unfinished(database, connection, root_id)
    return all(
        row.status == "PENDING" and row.executor_id in dead and row.id in ids and row.deadline is None
        for row in family
    )


def _due(database: SystemDatabase, waits: Mapping[str, Sequence[JsonObject]]) -> set[str]:
    """Those of the runs, by what they wait for, for which something of it is there."""
    now = time.time()
    found = {
        root_id
        for root_id, some in waits.items()
        if any(one.get("until") is not None and one["until"] <= now for one in some)
    }
    asks = {
        str(one.get("ask")): root_id
        for root_id, some in waits.items()
        for one in some
        if kind_of(one) == APPROVAL
    }
    found |= {asks[ask] for ask in answers(database, asks)}
    wanted: dict[tuple[str, str], str] = {}
    for root_id, some in waits.items():
        for one in some:
            if kind_of(one) == MESSAGE:
                wanted[root_id, str(one.get("topic"))] = root_id
                wanted[str(one.get("run_id")), str(one.get("topic"))] = root_id
    return found | {
        wanted[place] for place in _unread(database, {place[0] for place in wanted}) & wanted.keys()
    }


def _unread(database: SystemDatabase, run_ids: Collection[str]) -> set[tuple[str, str]]:
    """Receiver and topic of the messages to these that nobody has read."""
    table = database.tables.notifications
    found: set[tuple[str, str]] = set()
    with database.engine.connect() as connection:
        for some in _chunks(sorted(run_ids)):
            query = sa.select(table.c.destination_uuid, table.c.topic).where(
                table.c.destination_uuid.in_(some), sa.not_(table.c.consumed)
            )
            found |= {(row[0], row[1]) for row in connection.execute(query)}
    return found
