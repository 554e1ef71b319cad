"""What calls of models have cost: reading `llm_traces` through the drivers alone."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from kurt.db.tenant import scope_of
from kurt.runtime.run_query import Sql
from kurt.runtime.runs import Source, open_source

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence
    from datetime import datetime

    from kurt.config import Settings
    from kurt.types import JsonObject

GROUPS = {
    "step": "step",
    "model": "coalesce(request_model, response_model)",
    "provider": "provider",
    "user": "user_id",
    "workspace": "workspace_id",
    "run": "run_id",
    "operation": "operation",
    "error": "error_type",
}
"""What calls may be counted by, and the SQL of each."""

_DOLLARS = "coalesce(currency, 'USD') = 'USD'"
_UNPRICED = (
    f"NOT cache_hit AND (cost IS NULL AND (state IN ('succeeded', 'cut') OR tokens_in > 0) OR NOT {_DOLLARS})"
)
_OWN = "CASE WHEN NOT cache_hit THEN"
_FIGURES = (
    "count(*)",
    "sum(CASE WHEN state = 'succeeded' THEN 1 ELSE 0 END)",
    "sum(CASE WHEN state = 'failed' THEN 1 ELSE 0 END)",
    "sum(CASE WHEN state = 'cut' THEN 1 ELSE 0 END)",
    "sum(CASE WHEN state = 'started' THEN 1 ELSE 0 END)",
    "sum(CASE WHEN cache_hit THEN 1 ELSE 0 END)",
    f"sum({_OWN} tokens_in END)",
    f"sum({_OWN} tokens_out END)",
    f"sum({_OWN} tokens_cached END)",
    f"sum({_OWN} tokens_reasoning END)",
    f"sum(CASE WHEN {_DOLLARS} THEN cost END)",
    f"sum(CASE WHEN {_UNPRICED} THEN 1 ELSE 0 END)",
    f"avg({_OWN} latency_ms END)",
    f"min({_OWN} latency_ms END)",
    f"max({_OWN} latency_ms END)",
)


@dataclass(frozen=True, slots=True)
class CallStats:
    """Attempts at calls of models, counted together.

    Attributes:
        group: what they have in common, such as `{"step": "extract"}`; empty for all of them.
        calls: attempts, failed ones and cache hits included.
        succeeded: those that gave an answer that could be used.
        failed: those that did not.
        cut: those whose process died before an answer came.
        at_work: those that are on their way.
        cache_hits: those that were answered from Kurt's cache.
        tokens_in: tokens of the prompts that were sent.
        tokens_out: tokens of the answers.
        tokens_cached: tokens of prompts that the provider had in its cache.
        tokens_reasoning: tokens of answers that were spent on reasoning.
        cost: US dollars, as far as the prices are known; None where none is.
        unpriced: calls that did or may have cost something of which the price is not known.
        average_ms: milliseconds that a call took, on average.
        fastest_ms: the least of them.
        slowest_ms: the most of them.
    """

    group: JsonObject
    calls: int = 0
    succeeded: int = 0
    failed: int = 0
    cut: int = 0
    at_work: int = 0
    cache_hits: int = 0
    tokens_in: int = 0
    tokens_out: int = 0
    tokens_cached: int = 0
    tokens_reasoning: int = 0
    cost: float | None = None
    unpriced: int = 0
    average_ms: float | None = None
    fastest_ms: float | None = None
    slowest_ms: float | None = None

    def to_json(self) -> JsonObject:
        """The figures as JSON, what they have in common first."""
        figures = asdict(self)
        return {**figures.pop("group"), **figures}


@dataclass(frozen=True, slots=True, kw_only=True)
class CallQuery:
    """Which calls are asked for; what is not given is not asked for.

    Attributes:
        run_id: of this run and its children, by its full id.
        step: of steps of this name.
        user: of runs of this user.
        workspace: of runs of this workspace.
        since: begun at this time or later.
        until: begun before this time.
    """

    run_id: str | None = None
    step: str | None = None
    user: str | None = None
    workspace: str | None = None
    since: datetime | None = None
    until: datetime | None = None


class CallReader:
    """Answers questions about calls of models.

    Args:
        source: the connection.
        settings: decide whose calls are shown.
    """

    def __init__(self, source: Source, settings: Settings) -> None:
        self._source = source
        self._sqlite = settings.is_sqlite
        self._scope = scope_of(settings)

    def stats(self, query: CallQuery, by: Sequence[str] = ()) -> list[CallStats]:
        """The calls counted by some of `GROUPS`, the most expensive group first; all together without any."""
        sql = self._conditions(query)
        columns = [GROUPS[name] for name in by]
        places = ", ".join(str(place) for place in range(1, len(by) + 1))
        grouping = f" GROUP BY {places}" if by else ""
        rows = self._source.rows(
            f"SELECT {', '.join([*columns, *_FIGURES])} FROM llm_traces {sql.where}{grouping}",  # noqa: S608 - constants; values are bound
            sql.values,
        )
        found = [_stats(dict(zip(by, row[: len(by)], strict=True)), row[len(by) :]) for row in rows]
        return sorted(found, key=_most_expensive_first)

    def calls(self, query: CallQuery, columns: Sequence[str], limit: int) -> list[JsonObject]:
        """Attempts, the newest first.

        Args:
            query: which ones.
            columns: of `llm_traces`.
            limit: how many at most.
        """
        sql = self._conditions(query)
        names = ", ".join(f'"{column}"' for column in columns)
        rows = self._source.rows(
            f"SELECT {names} FROM llm_traces {sql.where} ORDER BY started_at DESC, id DESC LIMIT ?",  # noqa: S608 - as above
            [*sql.values, limit],
        )
        return [dict(zip(columns, row, strict=True)) for row in rows]

    def _conditions(self, query: CallQuery) -> Sql:
        sql = Sql()
        scope = self._scope
        for column, value in (
            ("run_id", query.run_id),
            ("step", query.step),
            ("user_id", query.user),
            ("workspace_id", query.workspace),
            ("user_id", scope.user_id if scope else None),
            ("workspace_id", scope.workspace_id if scope else None),
        ):
            if value is not None:
                sql.add(f"{column} = ?", value)
        for comparison, moment in (("started_at >= ?", query.since), ("started_at < ?", query.until)):
            if moment is not None:
                sql.add(comparison, self._stored(moment))
        return sql

    def _stored(self, moment: datetime) -> Any:
        """A time as the back end has it: SQLite keeps text, in UTC."""
        from datetime import UTC  # noqa: PLC0415 - seldom asked for

        return moment.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S.%f") if self._sqlite else moment


@contextmanager
def open_calls(settings: Settings) -> Generator[CallReader]:
    """A reader of the project's calls; a project in which nothing ran yet has none.

    Raises:
        StorageError: the database is damaged or cannot be reached.
    """
    source = open_source(settings)
    try:
        yield CallReader(source, settings)
    finally:
        source.close()


def _stats(group: JsonObject, row: Sequence[Any]) -> CallStats:
    counts = [int(value or 0) for value in row[:10]]
    cost, unpriced, *latencies = row[10:]
    return CallStats(
        group,
        *counts,
        cost=None if cost is None else float(cost),
        unpriced=int(unpriced or 0),
        average_ms=_number(latencies[0]),
        fastest_ms=_number(latencies[1]),
        slowest_ms=_number(latencies[2]),
    )


def _number(value: Any) -> float | None:
    return None if value is None else float(value)


def _most_expensive_first(stats: CallStats) -> tuple[float, int, str]:
    return (-(stats.cost or 0), -stats.calls, repr(list(stats.group.values())))
