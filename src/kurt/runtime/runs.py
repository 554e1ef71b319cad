"""The read side: runs, their steps, events and streams, by plain SQL on DBOS's tables.

Nothing here launches DBOS or loads it, SQLAlchemy or Pydantic; a listing must answer like `git`. A contract test
holds it against DBOS's own client.
"""

from __future__ import annotations

from collections import Counter
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Protocol

from kurt.db.tenant import scope_of
from kurt.errors import AmbiguousIdError, NotFoundError
from kurt.runtime import names, run_rows, step_rows
from kurt.runtime.reading import Opaque, Page, QueueDepth, Run, Step, decode
from kurt.runtime.run_query import Dialect, RunQuery, Sql, branches
from kurt.runtime.scope import add_scope, includes, narrowed
from kurt.runtime.states import PENDING, shown_state

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Sequence

    from kurt.config import Settings
    from kurt.db.tenant import Tenant
    from kurt.types import Json

__all__ = ["Opaque", "Page", "QueueDepth", "Run", "RunQuery", "RunReader", "Step", "open_reader"]

STREAM_CLOSED = "__DBOS_STREAM_CLOSED__"
"""The value with which DBOS ends a stream."""

_SHOWN_MATCHES = 5


class Source(Protocol):
    """A connection of one of the back ends."""

    dialect: Dialect

    def rows(self, statement: str, values: Sequence[Any] = ()) -> list[Sequence[Any]]:
        """The rows that a statement with placeholders `?` gives."""
        ...

    def alive(self, owners: Iterable[str]) -> set[str]:
        """Those of the executors that live."""
        ...

    def close(self) -> None:
        """Close the connection."""
        ...


def open_source(settings: Settings) -> Source:
    """A connection that reads; the caller closes it.

    Raises:
        StorageError: the database is damaged or cannot be reached.
    """
    if settings.is_sqlite:
        from kurt.runtime.readers_sqlite import SqliteSource  # noqa: PLC0415 - one of the two drivers is enough

        return SqliteSource(settings)
    from kurt.runtime.readers_postgres import PostgresSource  # noqa: PLC0415 - see above

    return PostgresSource(settings)


@contextmanager
def open_reader(settings: Settings) -> Generator[RunReader]:
    """A reader of the project's database; a project in which nothing ran yet has no runs.

    Raises:
        StorageError: the database is damaged or cannot be reached.
    """
    source = open_source(settings)
    try:
        yield RunReader(source, scope_of(settings))
    finally:
        source.close()


class RunReader:
    """Answers questions about runs; each method reads the present state.

    Args:
        source: the connection.
        scope: whose runs alone there are; None for everybody's.
    """

    def __init__(self, source: Source, scope: Tenant | None = None) -> None:
        self._source = source
        self._scope = scope
        self._dialect = source.dialect

    def list(self, query: RunQuery | None = None) -> list[Run]:
        """The runs that a query asks for, newest first, without their outputs."""
        query = narrowed(query or RunQuery(), self._scope)
        if query.parent is not None and self._scope is not None:
            self.result(query.parent)
        live = self._source.alive(self.pending_owners()) if query.wants_owners else set[str]()
        statement, values = run_rows.listing(query, branches(query, self._dialect, live), self._dialect)
        return self._runs(self._source.rows(statement, values), live if query.wants_owners else None)

    def get(self, id_or_prefix: str) -> Run:
        """The run of this id, else the only one whose id begins so; with its outputs when it has ended.

        Children are found by their full id only.

        Raises:
            NotFoundError: there is none.
            AmbiguousIdError: several ids begin so.
        """
        return self._find(id_or_prefix) or self.result(self._by_prefix(id_or_prefix))

    def exists(self, run_id: str) -> bool:
        """Whether there is a run of exactly this id."""
        return self._find(run_id) is not None

    def result(self, run_id: str) -> Run:
        """The run of this full id, with its outputs when it has ended.

        Raises:
            NotFoundError: there is none.
        """
        run = self._find(run_id)
        if run is None:
            raise _unknown(run_id)
        return run

    def children(self, run_id: str) -> list[Run]:
        """The direct children of a run, oldest first, without their outputs."""
        return self.list(RunQuery(parent=run_id, limit=None, reverse=True))

    def steps(self, run_id: str, *, values: bool = False) -> list[Step]:
        """The steps of a run and of its branches in the order of their start, each with all its attempts.

        Args:
            run_id: a full id.
            values: read what the steps returned too.

        Raises:
            NotFoundError: there is no such run.
        """
        run = self.result(run_id)
        family = self._source.rows(step_rows.FAMILY, (run_id,))
        rows = self._source.rows(step_rows.checkpoints(self._dialect, values=values), (run_id,))
        current = None if run.is_over else self.events(run_id).get("current_step")
        return step_rows.steps(run, family, rows, current=current, values=values)

    def events(self, run_id: str) -> dict[str, Json]:
        """The present value of each event of a run."""
        rows = self._source.rows(
            "SELECT key, value, serialization FROM @workflow_events WHERE workflow_uuid = ? ORDER BY key",
            (run_id,),
        )
        return {key: decode(value, serialization) for key, value, serialization in rows}

    def streams(self, run_id: str) -> dict[str, int]:
        """The streams of a run and how many items each has, its closing mark included."""
        rows = self._source.rows(
            'SELECT key, max("offset") + 1 FROM @streams WHERE workflow_uuid = ? GROUP BY key ORDER BY key',
            (run_id,),
        )
        return {row[0]: row[1] for row in rows}

    def stream(
        self, run_id: str, key: str, offset: int = 0, limit: int = 500, *, without: str | None = None
    ) -> Page:
        """One page of a stream; reading it costs the page, not what came before.

        Args:
            run_id: a full id.
            key: the stream's key.
            offset: 0 for the start, or the `next_offset` of the page before.
            limit: how many items at most.
            without: leave out the items in whose stored text this is found.
        """
        unwanted = "" if without is None else " AND value NOT LIKE ?"
        rows = self._source.rows(
            'SELECT "offset", value, serialization FROM @streams'  # noqa: S608 - constants
            f' WHERE workflow_uuid = ? AND key = ? AND "offset" >= ?{unwanted} ORDER BY "offset" LIMIT ?',
            (run_id, key, offset, *([] if without is None else [f"%{without}%"]), limit + 1),
        )
        items: list[Json] = []
        for place, value, serialization in rows[:limit]:
            item = decode(value, serialization)
            if item == STREAM_CLOSED:
                return Page(items, place + 1, has_more=False, closed=True)
            items.append(item)
        following = rows[:limit][-1][0] + 1 if rows[:limit] else offset
        return Page(items, following, has_more=len(rows) > limit)

    def pending_owners(self) -> dict[str, int]:
        """Executors that own unfinished runs or children, and how many."""
        rows = self._source.rows(
            "SELECT executor_id, count(*) FROM @workflow_status w WHERE w.status = 'PENDING' GROUP BY executor_id"
        )
        return {row[0]: row[1] for row in rows if row[0]}

    def counts(self) -> dict[str, int]:
        """How many runs are in each shown state; children are not counted."""
        rows = self._source.rows(run_rows.COUNTING)
        live = self._source.alive({row[1] for row in rows if row[1]})
        counted: Counter[str] = Counter()
        for status, owner, waiting, number in rows:
            counted[shown_state(status, waiting=bool(waiting), owner_alive=owner in live)] += number
        return dict(counted)

    def has_queue(self, name: str) -> bool:
        """Whether a queue of that name is registered."""
        return bool(self._source.rows("SELECT 1 FROM @queues WHERE name = ?", (name,)))

    def queue_depths(self) -> list[QueueDepth]:
        """What is on each named queue that holds anything."""
        rows = self._source.rows(
            "SELECT queue_name, status, count(*) FROM @workflow_status w"
            " WHERE w.status IN ('ENQUEUED', 'PENDING') AND queue_name IS NOT NULL GROUP BY queue_name, status"
        )
        found: dict[str, Counter[str]] = {}
        for queue, status, number in rows:
            if not queue.startswith((names.PRIVATE_PREFIX, "_dbos")):
                found.setdefault(queue, Counter())[status] += number
        return [QueueDepth(queue, found[queue]["ENQUEUED"], found[queue][PENDING]) for queue in sorted(found)]

    def _find(self, run_id: str) -> Run | None:
        found = self._runs(self._source.rows(run_rows.SINGLE, (run_id,)), None)
        return found[0] if found and self._is_shown(found[0]) else None

    def _is_shown(self, run: Run) -> bool:
        """Whether it is in scope; a child is where its parent is."""
        if self._scope is None or includes(self._scope, run):
            return True
        return run.parent_id is not None and self._find(run.parent_id) is not None

    def _by_prefix(self, prefix: str) -> str:
        sql = Sql()
        sql.add("w.parent_workflow_id IS NULL")
        self._dialect.prefix(sql, prefix)
        add_scope(sql, self._scope, self._dialect)
        rows = self._source.rows(
            f"SELECT w.workflow_uuid FROM @workflow_status w {sql.where}"  # noqa: S608 - constants
            f" ORDER BY w.workflow_uuid LIMIT {_SHOWN_MATCHES + 1}",
            sql.values,
        )
        if not rows or not prefix:
            raise _unknown(prefix)
        if len(rows) > 1:
            shown = ", ".join(row[0] for row in rows[:_SHOWN_MATCHES])
            more = ", ..." if len(rows) > _SHOWN_MATCHES else ""
            raise AmbiguousIdError(
                f"{prefix!r} is the beginning of several run ids: {shown}{more}", hint="give more of the id"
            )
        return rows[0][0]

    def _runs(self, rows: Sequence[Sequence[Any]], live: set[str] | None) -> list[Run]:
        """The rows as runs; which owners live is found out here unless it is known."""
        if live is None:
            live = self._source.alive({owner for owner in map(run_rows.pending_owner, rows) if owner})
        return [run_rows.run_of(row, live) for row in rows]


def _unknown(run_id: str) -> NotFoundError:
    return NotFoundError(f"there is no run {run_id!r}", hint="kurt workflows list")
