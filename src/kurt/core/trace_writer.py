"""Writing `llm_traces`, and the questions that a step asks of it while it works."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from kurt.config.current import current_settings
from kurt.core.spans import span_export
from kurt.core.trace_sql import INSERT, UPSERT, Connection
from kurt.core.trace_thread import TraceThread

if TYPE_CHECKING:
    from collections.abc import Callable

    from kurt.config import Settings
    from kurt.core.trace_rows import TraceRow

ANY: Final = "*"
"""In `TraceWriter.spent`: whatever the workspace."""

_SPENT = (
    "SELECT sum(CASE WHEN coalesce(currency, 'USD') = 'USD' THEN cost END),"
    " sum(CASE WHEN cache_hit THEN 0 ELSE coalesce(tokens_in, 0) + coalesce(tokens_out, 0) END),"
    " count(*), sum(CASE WHEN cost IS NULL AND NOT cache_hit AND (state IN ('succeeded', 'cut') OR tokens_in > 0)"
    " THEN 1 ELSE 0 END)"
    " FROM llm_traces"
)


@dataclass(frozen=True, slots=True)
class Spent:
    """What calls have cost so far, failed attempts included.

    Attributes:
        usd: US dollars, as far as the prices are known.
        tokens: tokens of prompts and answers, those of cache hits not counted.
        attempts: attempts at calls, those at work included.
        unpriced: how many of them did or may have cost something of which the price is not known.
    """

    usd: float
    tokens: int
    attempts: int
    unpriced: int


class TraceWriter:
    """Writes and reads `llm_traces` for one process; any number of threads and event loops may share it.

    Each method has a twin with the suffix `_sync` for code without an event loop. All come back when the row is
    committed, and raise StorageError when it cannot be. Take the process's one from `trace_writer`.

    Args:
        settings: the project's settings.
    """

    def __init__(self, settings: Settings) -> None:
        self._thread = TraceThread(settings)
        self._spans = span_export(settings)

    async def started(self, row: TraceRow) -> None:
        """Note that an attempt begins; does nothing outside a run, where nobody could continue it."""
        if row.run_id is not None:
            await self._thread.do(INSERT, row)

    def started_sync(self, row: TraceRow) -> None:
        """See `started`."""
        if row.run_id is not None:
            self._thread.do_sync(INSERT, row)

    async def finished(self, row: TraceRow) -> None:
        """Write an attempt that is over, whether `started` was told of it or not."""
        await self._thread.do(UPSERT, row)
        if self._spans is not None:
            self._spans.send(row)

    def finished_sync(self, row: TraceRow) -> None:
        """See `finished`."""
        self._thread.do_sync(UPSERT, row)
        if self._spans is not None:
            self._spans.send(row)

    async def mark_cut(self, run_id: str, step: str | None = None, scope: str | None = None) -> int:
        """Say of attempts that began and never ended that they were cut; how many there were.

        For a run that goes on in another process, before its first call there. An attempt that lives after all, in
        another executor that works on a child of the run, is set right when it ends.
        """
        return await self._thread.do(_cut(run_id, step, scope))

    def mark_cut_sync(self, run_id: str, step: str | None = None, scope: str | None = None) -> int:
        """See `mark_cut`."""
        return self._thread.do_sync(_cut(run_id, step, scope))

    async def attempts_made(self, run_id: str, step: str, scope: str = "") -> dict[int, int]:
        """The highest number of an attempt for each row of a step that had one, those that were cut included."""
        return await self._thread.do(_made(run_id, step, scope))

    def attempts_made_sync(self, run_id: str, step: str, scope: str = "") -> dict[int, int]:
        """See `attempts_made`."""
        return self._thread.do_sync(_made(run_id, step, scope))

    async def spent(
        self,
        *,
        run_id: str | None = None,
        step: str | None = None,
        scope: str | None = None,
        workspace_id: str | None = ANY,
        since: float | None = None,
        below: str | None = None,
    ) -> Spent:
        """What the calls of a run, a step or a workspace have cost so far.

        Args:
            run_id: of this run only.
            step: of steps of this name only.
            scope: of this place in the run only.
            workspace_id: of this workspace only; None for what belongs to none.
            since: begun at this time or later, in seconds since the epoch.
            below: of this child of the run, and of its own children, only.
        """
        return await self._thread.do(_spent(run_id, step, scope, workspace_id, since, below))

    def spent_sync(
        self,
        *,
        run_id: str | None = None,
        step: str | None = None,
        scope: str | None = None,
        workspace_id: str | None = ANY,
        since: float | None = None,
    ) -> Spent:
        """See `spent`."""
        return self._thread.do_sync(_spent(run_id, step, scope, workspace_id, since))

    def close(self) -> None:
        """Write what is waiting and close the connection; a later row opens another, but sends no span any more."""
        self._thread.close()
        if self._spans is not None:
            self._spans.close()


_writers: dict[tuple[int, str], TraceWriter] = {}


def trace_writer(settings: Settings | None = None) -> TraceWriter:
    """The writer of this process for a project; take it once for a batch, not for each row.

    Args:
        settings: the project's; those of the executor of this process, or of the working directory, by default.
    """
    chosen = settings or current_settings()
    key = (os.getpid(), chosen.database_url)  # a thread does not live on in a forked process
    return _writers.setdefault(key, TraceWriter(chosen)) if key not in _writers else _writers[key]


def close_writers() -> None:
    """Close all writers of this process; a later row opens its one again."""
    for key, writer in list(_writers.items()):
        if key[0] == os.getpid():
            writer.close()
            _writers.pop(key, None)


def _where(**wanted: Any) -> tuple[str, list[Any]]:
    """A WHERE clause that all given columns equal these values, and the values."""
    given = {column: value for column, value in wanted.items() if value is not None}
    clause = " AND ".join(f"{column} = ?" for column in given)
    return (f" WHERE {clause}" if clause else ""), list(given.values())


def _cut(run_id: str, step: str | None, scope: str | None) -> Callable[[Connection], int]:
    where, values = _where(run_id=run_id, step=step, scope=scope)

    def action(connection: Connection) -> int:
        statement = f"UPDATE llm_traces SET state = 'cut'{where} AND state = 'started' RETURNING 1"  # noqa: S608 - constants
        return len(connection.rows(statement, values))

    return action


def _made(run_id: str, step: str, scope: str) -> Callable[[Connection], dict[int, int]]:
    where, values = _where(run_id=run_id, step=step, scope=scope)

    def action(connection: Connection) -> dict[int, int]:
        statement = f'SELECT "row", max(attempt) FROM llm_traces{where} GROUP BY "row"'  # noqa: S608 - constants
        return {row[0]: row[1] for row in connection.rows(statement, values)}

    return action


def _spent(
    run_id: str | None,
    step: str | None,
    scope: str | None,
    workspace_id: str | None,
    since: float | None,
    below: str | None = None,
) -> Callable[[Connection], Spent]:
    workspace = None if workspace_id == ANY else workspace_id
    where, values = _where(run_id=run_id, step=step, scope=scope, workspace_id=workspace)
    conditions = [where.removeprefix(" WHERE ")] if where else []
    if workspace_id is None:
        conditions.append("workspace_id IS NULL")
    if below is not None:  # ids of children begin with that of who started them
        conditions.append("(substr(scope, 1, length(?)) = ?)")
        values = [*values, below, below]
    if since is not None:
        conditions.append("started_at >= ?")

    def action(connection: Connection) -> Spent:
        clause = f" WHERE {' AND '.join(conditions)}" if conditions else ""
        given = [*values, connection.moment(since)] if since is not None else values
        usd, tokens, attempts, unpriced = connection.rows(_SPENT + clause, given)[0]
        return Spent(float(usd or 0), int(tokens or 0), attempts, int(unpriced or 0))

    return action
