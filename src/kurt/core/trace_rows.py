"""One attempt to call a model as a row of `llm_traces`."""

from __future__ import annotations

import json
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from kurt.llm.types import Attempt, Message
    from kurt.types import JsonObject

State = Literal["started", "succeeded", "failed", "cut"]
"""What became of an attempt; `cut`: its process died before an answer came, so nobody knows what it cost."""


@dataclass(slots=True, kw_only=True)
class TraceRow:
    """One attempt; the fields are the columns, in their order. What is not known is None, never 0.

    Attributes:
        run_id: the run that the user started, also where its children do the work; None outside a run.
        scope: tells apart several places of one run at which a step of this name stands (a child's id, a position).
        step: name of the step.
        row: number of the row in the step, from 0.
        attempt: number of the attempt at this row, from 1, re-asks included.
        kind: `call`, or `reask` where the model was shown the fault of its last answer.
        operation: what was asked for, by OpenTelemetry's names: `chat`, `embeddings`.
        state: what became of it.
        provider: whose endpoint was called.
        request_model: the model that was asked for.
        response_model: the model that answered.
        response_id: the provider's id of the answer.
        tokens_in: tokens of the prompt, cached ones included.
        tokens_out: tokens of the answer, those of reasoning included.
        tokens_cached: those of the prompt that the provider had in its cache.
        tokens_reasoning: those of the answer that were spent on reasoning.
        cost: what it cost in `currency`.
        currency: ISO 4217.
        cost_source: `provider`, `local` or `override`.
        latency_ms: milliseconds until the answer or the error.
        finish_reason: why the answer ended.
        cache_hit: answered from Kurt's cache; nothing was sent.
        error_type: the kind of failure.
        error: its text.
        prompt: what was sent.
        response: what came back.
        user_id: whose run it is.
        workspace_id: in which workspace it is.
        attributes: what hooks add.
        started_at: seconds since the epoch.
        ended_at: seconds since the epoch.
    """

    run_id: str | None = None
    scope: str = ""
    step: str
    row: int = 0
    attempt: int = 1
    kind: str = "call"
    operation: str = "chat"
    state: State = "started"
    provider: str | None = None
    request_model: str | None = None
    response_model: str | None = None
    response_id: str | None = None
    tokens_in: int | None = None
    tokens_out: int | None = None
    tokens_cached: int | None = None
    tokens_reasoning: int | None = None
    cost: float | None = None
    currency: str | None = None
    cost_source: str | None = None
    latency_ms: float | None = None
    finish_reason: str | None = None
    cache_hit: bool = False
    error_type: str | None = None
    error: str | None = None
    prompt: str | None = None
    response: str | None = None
    user_id: str | None = None
    workspace_id: str | None = None
    attributes: JsonObject | None = None
    started_at: float
    ended_at: float | None = None


COLUMNS = tuple(field.name for field in fields(TraceRow))
"""All columns but the number that the database gives."""

KEY = ("run_id", "scope", "step", "row", "attempt")
"""The columns that tell an attempt from all others."""


def row_of(attempt: Attempt, **place: Any) -> TraceRow:
    """The row of an attempt that is over.

    Args:
        attempt: what was asked and what came of it.
        place: the fields of `TraceRow` that say where it belongs: `run_id`, `step`, `row`, `user_id`, ...
    """
    response = attempt.response
    found: dict[str, Any] = {
        "attempt": attempt.number,
        "kind": attempt.kind,
        "state": "failed" if attempt.error is not None else "succeeded",
        "provider": attempt.request.model.partition("/")[0] or None,
        "request_model": attempt.request.model,
        "cost": attempt.cost.amount,
        "currency": None if attempt.cost.amount is None else attempt.cost.currency,
        "cost_source": attempt.cost.source,
        "latency_ms": attempt.latency_ms,
        "cache_hit": attempt.cache_hit,
        "prompt": prompt_text(attempt.request.messages),
        "started_at": attempt.started_at,
        "ended_at": attempt.started_at + attempt.latency_ms / 1000,
    }
    if response is not None:
        found |= {
            "provider": response.provider,
            "response_model": response.model,
            "response_id": response.response_id,
            "tokens_in": response.usage.input_tokens,
            "tokens_out": response.usage.output_tokens,
            "tokens_cached": response.usage.cached_tokens,
            "tokens_reasoning": response.usage.reasoning_tokens,
            "finish_reason": response.finish_reason,
            "response": response.text,
        }
    if attempt.error is not None:
        found |= {"error_type": attempt.error.type, "error": str(attempt.error)}
    return TraceRow(**{**found, **place})


def prompt_text(messages: tuple[Message, ...]) -> str:
    """What was sent: the text of a single message, several as JSON."""
    if len(messages) == 1:
        return messages[0].content
    return json.dumps(
        [{"role": message.role, "content": message.content} for message in messages], ensure_ascii=False
    )
