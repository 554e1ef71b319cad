"""The traces of one call of a batch step: one row of `llm_traces` for each attempt, written before and after it."""

from __future__ import annotations

import asyncio
import json
import logging
import time
import uuid
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from kurt.core.failures import text_of_error, type_of_error
from kurt.errors import KurtError
from kurt.runtime import place

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from kurt.config import Settings
    from kurt.core.answers import Metrics
    from kurt.core.hooks import StepHooks
    from kurt.core.tracing import TraceWriter
    from kurt.llm.types import Attempt, Cost, EmbedResponse
    from kurt.runtime.step_batch import StepBatch
    from kurt.types import JsonObject

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Labels:
    """What hooks say of a step's calls.

    Attributes:
        model: the model, where the calls themselves do not tell it.
        provider: whose endpoint it is, likewise.
        user_id: whose calls they are.
        workspace_id: in which workspace.
    """

    model: str | None = None
    provider: str | None = None
    user_id: str | None = None
    workspace_id: str | None = None


def labels_of(hooks: Sequence[StepHooks]) -> Labels:
    """What the first hook with labels says."""
    return next(
        (found for hook in hooks if isinstance(found := getattr(hook, "labels", None), Labels)), Labels()
    )


@dataclass(frozen=True, slots=True)
class StepPlace:
    """The step of a run in which calls are made that are no rows.

    Attributes:
        run_id: the run, item or branch.
        first: the step's number.
    """

    run_id: str
    first: int


def place_here() -> StepPlace | None:
    """The step in which the caller is, None outside of one."""
    context = place.context()
    return StepPlace(context.workflow_id, context.function_id) if context and place.in_step() else None


class RowTraces:
    """The attempts of a call of a step; writes nothing outside of a workflow.

    Args:
        step: the step's name.
        batch: its rows' numbers, or the step in which it calls; None outside of a workflow.
        labels: what hooks say.
        operation: `chat` or `embeddings`.
        mask: hides secrets in what is written.
    """

    def __init__(
        self,
        step: str,
        batch: StepBatch | StepPlace | None,
        labels: Labels,
        *,
        operation: str = "chat",
        mask: Callable[[str], str] | None = None,
    ) -> None:
        self._step = step
        self._mask = mask
        self._batch = batch
        self._labels = labels
        self._operation = operation
        self._writer: TraceWriter | None = None
        self._made: dict[int, int] = {}
        self.place: dict[str, Any] = {}

    @property
    def on(self) -> bool:
        """Whether attempts are written; known once it is prepared."""
        return self._writer is not None

    async def prepare(self) -> None:
        """Find out what earlier executions of the run have tried; what they left unfinished was cut."""
        if self._batch is None or (settings := _settings()) is None:
            return
        from kurt.core.tracing import trace_writer  # noqa: PLC0415 - only who is in a workflow has traces

        run_id = await asyncio.get_running_loop().run_in_executor(None, _root, self._batch.run_id)
        scope = (
            f"{self._batch.first}"
            if run_id == self._batch.run_id
            else f"{self._batch.run_id}:{self._batch.first}"
        )
        writer = trace_writer(settings)
        try:
            await writer.mark_cut(run_id, self._step, scope)
            self._made = await writer.attempts_made(run_id, self._step, scope)
        except KurtError as error:
            _log.warning("calls of step %r are not traced: %s", self._step, error.message)
            return
        self._writer = writer
        user_id, workspace_id = tenant()
        self.place = {
            "run_id": run_id,
            "scope": scope,
            "step": self._step,
            "operation": self._operation,
            "user_id": self._labels.user_id or user_id,
            "workspace_id": self._labels.workspace_id or workspace_id,
        }

    @property
    def run_id(self) -> str | None:
        """The run, item or branch in which the calls are made, None outside of one."""
        return None if self._batch is None else self._batch.run_id

    @property
    def writer(self) -> TraceWriter | None:
        """Where traces go, None where there are none."""
        return self._writer

    def first_attempt(self, row: int) -> int:
        """The number of a row's next attempt, from 1."""
        return self._made.get(row, 0) + 1

    async def started(self, row: int, number: int, prompt: str, model: str | None = None) -> None:
        """An attempt is about to leave the process."""
        if self._writer is None:
            return
        self._made[row] = number
        await self._writer.started(
            self._row(row, number, prompt, started_at=time.time(), request_model=model or self._labels.model)
        )

    def _row(self, row: int, number: int, prompt: str, **facts: Any) -> Any:
        from kurt.core.tracing import TraceRow  # noqa: PLC0415 - as above

        found: dict[str, Any] = {
            "provider": self._labels.provider,
            **self.place,
            "row": row,
            "attempt": number,
            "prompt": prompt,
        }
        return self._masked(TraceRow(**{**found, **facts}))

    def _masked(self, row: Any) -> Any:
        if self._mask is None:
            return row
        texts = {name: text for name in ("prompt", "response", "error") if (text := getattr(row, name))}
        return replace(row, **{name: self._mask(text) for name, text in texts.items()})

    async def model_attempt(self, row: int, attempt: Attempt) -> None:
        """An attempt of Kurt's own client is over."""
        if self._writer is None:
            return
        from kurt.core.tracing import row_of  # noqa: PLC0415 - as above

        self._made[row] = attempt.number
        await self._writer.finished(self._masked(row_of(attempt, **self.place, row=row)))

    async def call_over(  # noqa: PLR0913 - what is known of one call
        self,
        row: int,
        number: int,
        prompt: str,
        started_at: float,
        response: EmbedResponse | None,
        error: Exception | None,
        *,
        model: str | None = None,
        cost: Cost | None = None,
    ) -> None:
        """A call that makes vectors is over."""
        if self._writer is None:
            return

        ended_at = time.time()
        facts: dict[str, Any] = {
            "operation": "embeddings",
            "state": "succeeded" if error is None else "failed",
            **_vector_facts(response, model, cost),
            "latency_ms": (ended_at - started_at) * 1000,
            "started_at": started_at,
            "ended_at": ended_at,
        }
        if error is not None:
            facts |= {"error_type": type_of_error(error), "error": text_of_error(error)}
        await self._writer.finished(self._row(row, number, prompt, **facts))

    async def function_attempt(
        self,
        row: int,
        number: int,
        prompt: str,
        started_at: float,
        metrics: Metrics,
        outcome: JsonObject | Exception,
    ) -> None:
        """A call of the user's function is over, with the answer's fields or an error."""
        if self._writer is None:
            return

        ended_at = time.time()
        facts: dict[str, Any] = {
            "state": "failed" if isinstance(outcome, Exception) else "succeeded",
            "request_model": self._labels.model or metrics.model,
            "response_model": metrics.model or self._labels.model,
            "tokens_in": metrics.tokens_in,
            "tokens_out": metrics.tokens_out,
            "tokens_cached": metrics.cached_tokens,
            "tokens_reasoning": metrics.reasoning_tokens,
            "cost": metrics.cost,
            "currency": None if metrics.cost is None else "USD",
            "cost_source": None if metrics.cost is None else "provider",
            "latency_ms": (ended_at - started_at) * 1000,
            "started_at": started_at,
            "ended_at": ended_at,
        }
        if isinstance(outcome, Exception):
            facts |= {"error_type": type_of_error(outcome), "error": text_of_error(outcome)}
        else:
            facts["response"] = json.dumps(outcome, ensure_ascii=False)
        await self._writer.finished(self._row(row, number, prompt, **facts))


def _vector_facts(
    response: EmbedResponse | None, model: str | None, cost: Cost | None = None
) -> dict[str, Any]:
    """What an answer with vectors consumed."""
    if response is None:
        return {"request_model": model}
    from kurt.llm.prices import DEFAULT_PRICES  # noqa: PLC0415 - only who is in a workflow has traces

    # Prices look at what both kinds of answers have: usage, model, provider, price.
    cost = cost or DEFAULT_PRICES.cost_of(
        model or f"{response.provider}/{response.model}", cast("Any", response)
    )
    return {
        "provider": response.provider,
        "request_model": model,
        "response_model": response.model,
        "tokens_in": response.usage.input_tokens,
        "tokens_out": response.usage.output_tokens,
        "cost": cost.amount,
        "currency": cost.currency if cost.amount is not None else None,
        "cost_source": cost.source,
    }


async def write_call(step: str, response: Any, model: str, started_at: float) -> None:
    """Note one call that is no row: vectors that were made inside a step of a run."""
    context = place.context()
    settings = _settings()
    if context is None or settings is None:
        return
    from kurt.core.tracing import TraceRow, trace_writer  # noqa: PLC0415 - as above

    run_id = await asyncio.get_running_loop().run_in_executor(None, _root, context.workflow_id)
    user_id, workspace_id = tenant()
    ended_at = time.time()
    row = TraceRow(
        run_id=run_id,
        scope=f"{context.workflow_id}:{context.function_id}:{uuid.uuid4().hex[:8]}",
        step=step,
        operation="embeddings",
        state="succeeded",
        **_vector_facts(response, model),
        latency_ms=(ended_at - started_at) * 1000,
        user_id=user_id,
        workspace_id=workspace_id,
        started_at=started_at,
        ended_at=ended_at,
    )
    try:
        await trace_writer(settings).finished(row)
    except KurtError as error:
        _log.warning("a call of step %r is not traced: %s", step, error.message)


def _root(run_id: str) -> str:
    from kurt.runtime.recovery import root_of  # noqa: PLC0415 - only who is in a workflow has a root

    return root_of(run_id)


def _settings() -> Settings | None:
    """The settings of the project whose run this is; None where somebody runs DBOS without a project."""
    from kurt.config.current import current_settings  # noqa: PLC0415 - as above

    try:
        settings = current_settings()
    except KurtError:
        return None
    return settings if Path(settings.root, "kurt.config").exists() else None


def tenant() -> tuple[str | None, str | None]:
    """Whose run it is."""
    from kurt.core.tenancy import current_tenant  # noqa: PLC0415 - as above

    found = current_tenant()
    return found.user_id, found.workspace_id
