"""Reading and writing traces of model calls by hand."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Literal

from kurt.config.current import current_settings
from kurt.core.tenancy import current_tenant
from kurt.core.trace_rows import COLUMNS, TraceRow
from kurt.core.trace_writer import trace_writer
from kurt.runtime import place
from kurt.runtime.spending import CallQuery, CallStats, open_calls

if TYPE_CHECKING:
    from kurt.config import Settings
    from kurt.types import JsonObject


class LLMTracer:
    """The traces of the project: what was called, what it consumed, what it cost.

    Steps trace their calls by themselves; this is for calls that your own code makes, and for questions.

    Args:
        settings: the project's; those of the executor, or of the working directory, by default.
    """

    def __init__(self, settings: Settings | None = None) -> None:
        self._settings = settings or current_settings()

    def record(  # noqa: PLR0913 - the columns of a row, by name
        self,
        *,
        workflow_id: str | None = None,
        step_name: str = "call",
        model: str | None = None,
        provider: str | None = None,
        prompt: str | None = None,
        response: str | None = None,
        tokens_in: int | None = None,
        tokens_out: int | None = None,
        cost: float | None = None,
        latency_ms: float | None = None,
        status: Literal["success", "error"] | None = None,
        error: str | None = None,
        row: int = 0,
        attempt: int | None = None,
        user_id: str | None = None,
        workspace_id: str | None = None,
        **more: Any,
    ) -> None:
        """Store one call; it is committed when this returns.

        Args:
            workflow_id: the run; by default the one in which the caller is.
            step_name: name of the step.
            model: the model that was asked for.
            provider: whose endpoint it was.
            prompt: what was sent.
            response: what came back.
            tokens_in: tokens of the prompt.
            tokens_out: tokens of the answer.
            cost: US dollars; None where it is not known, which is not the same as 0.
            latency_ms: milliseconds that it took.
            status: what came of it; by default `error` where there is an error.
            error: what went wrong.
            row: number of the row; a call of the same run, step, row and attempt is stored once.
            attempt: number of the attempt at this row; by default the next one.
            user_id: whose call it is; the present tenant's by default.
            workspace_id: in which workspace, likewise.
            more: other columns of `llm_traces`, see `kurt.core.trace_rows.TraceRow`.

        Raises:
            StorageError: it cannot be stored.
            TypeError: there is no such column.
        """
        run_id = workflow_id or _root(place.run_id())
        writer = trace_writer(self._settings)
        scope = str(more.pop("scope", ""))
        if attempt is None and run_id is not None:
            attempt = writer.attempts_made_sync(run_id, step_name, scope).get(row, 0) + 1
        whose = current_tenant()
        now = time.time()
        failed = error is not None if status is None else status == "error"
        known: dict[str, Any] = {
            "run_id": run_id,
            "scope": scope,
            "step": step_name,
            "row": row,
            "attempt": attempt or 1,
            "state": "failed" if failed else "succeeded",
            "provider": provider,
            "request_model": model,
            "tokens_in": tokens_in,
            "tokens_out": tokens_out,
            "cost": cost,
            "currency": None if cost is None else "USD",
            "latency_ms": latency_ms,
            "error": error,
            "prompt": prompt,
            "response": response,
            "user_id": user_id or whose.user_id,
            "workspace_id": workspace_id or whose.workspace_id,
            "started_at": now - (latency_ms or 0) / 1000,
            "ended_at": now,
        }
        writer.finished_sync(TraceRow(**{**known, **more}))

    def query(
        self, workflow_id: str | None = None, step_name: str | None = None, limit: int = 100
    ) -> list[JsonObject]:
        """Calls with all that is known of each, the newest first.

        Args:
            workflow_id: of this run only.
            step_name: of steps of this name only.
            limit: how many at most.
        """
        with open_calls(self._settings) as reader:
            return reader.calls(CallQuery(run_id=workflow_id, step=step_name), COLUMNS, limit)

    def stats(self, workflow_id: str | None = None) -> JsonObject:
        """All calls of a run, or of all runs, counted together; what they cost is None where no price is known."""
        with open_calls(self._settings) as reader:
            found = reader.stats(CallQuery(run_id=workflow_id))
        return _figures(found[0] if found else CallStats({}))

    def stats_by_step(self, workflow_id: str | None = None) -> dict[str, JsonObject]:
        """The same figures for each step, by its name."""
        with open_calls(self._settings) as reader:
            found = reader.stats(CallQuery(run_id=workflow_id), ["step"])
        return {one.group["step"]: _figures(one) for one in found}


def _root(run_id: str | None) -> str | None:
    """The run that the user started, of one of its children."""
    return None if run_id is None else run_id.split(".", 1)[0]


def _figures(stats: CallStats) -> JsonObject:
    return {
        "total_calls": stats.calls,
        "total_tokens_in": stats.tokens_in,
        "total_tokens_out": stats.tokens_out,
        "total_cost": stats.cost,
        "avg_latency_ms": stats.average_ms,
        "min_latency_ms": stats.fastest_ms,
        "max_latency_ms": stats.slowest_ms,
        "success_count": stats.succeeded,
        "error_count": stats.failed,
    }
