"""Asking a model for the answer of a row, by Kurt's own client."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

from kurt.core.answers import Metrics, fields_of
from kurt.core.calling import Answer, Retry, RowError, policy_of, total
from kurt.llm.calls import ask
from kurt.llm.errors import ModelError
from kurt.llm.types import Message, Request

if TYPE_CHECKING:
    from pydantic import BaseModel

    from kurt.core.row_traces import RowTraces
    from kurt.llm.budget import Ledger, Ledgers
    from kurt.llm.cache import ResponseCache
    from kurt.llm.limits import Limiter
    from kurt.llm.prices import PriceList
    from kurt.llm.types import Attempt, Completer


@dataclass(slots=True)
class ModelCaller:
    """Asks a model.

    Attributes:
        completer: who calls.
        model: `provider/model`.
        schema: what the answer must fit.
        traces: are told of each call.
        retry: how often a failed call is repeated.
        params: more of the request: `temperature`, `max_tokens`, `timeout`, `system`; the rest goes to the provider.
        ledger: keeps the budget, if there is one.
        limiter: keeps the rate limits, if there are any.
        cache: answers that were paid before, if they are to be used.
        prices: what tokens cost.
    """

    completer: Completer
    model: str
    schema: type[BaseModel]
    traces: RowTraces
    retry: Retry = None
    params: dict[str, Any] = field(default_factory=dict[str, Any])
    ledger: Ledger | Ledgers | None = None
    limiter: Limiter | None = None
    cache: ResponseCache | None = None
    prices: PriceList | None = None

    async def __call__(self, index: int, prompt: str) -> Answer:
        traced = self.traces.on
        try:
            answer = await ask(
                self._request(prompt),
                self.schema,
                completer=self.completer,
                retry=policy_of(self.retry),
                limiter=self.limiter,
                ledger=self.ledger,
                cache=self.cache,
                prices=self.prices,
                on_attempt_start=partial(self._started, index, prompt) if traced else None,
                on_attempt=partial(self.traces.model_attempt, index) if traced else None,
                first_attempt=self.traces.first_attempt(index),
            )
        except ModelError as error:
            raise _row_error(error) from error
        return Answer(
            fields_of(self.schema, answer.value),
            _metrics(answer.attempts),
            len(answer.attempts),
            cached=answer.attempts[-1].cache_hit,
        )

    def _request(self, prompt: str) -> Request:
        params = dict(self.params)
        known = {
            name: params.pop(name) for name in ("temperature", "max_tokens", "timeout") if name in params
        }
        system = params.pop("system", None)
        messages = (
            [Message("user", prompt)]
            if system is None
            else [Message("system", system), Message("user", prompt)]
        )
        return Request(self.model, tuple(messages), params=params, **known)

    async def _started(self, index: int, prompt: str, number: int) -> None:
        await self.traces.started(index, number, prompt, self.model)

    def close(self) -> None:
        """Nothing to give back: connections belong to the event loop."""


def _row_error(error: ModelError) -> RowError:
    return RowError(error, metrics=_metrics(error.attempts), attempts=len(error.attempts), fatal=error.fatal)


def _metrics(attempts: tuple[Attempt, ...]) -> Metrics:
    """What all calls for a row consumed."""
    return total([_consumed(attempt) for attempt in attempts] or [Metrics()])


def _consumed(attempt: Attempt) -> Metrics:
    if attempt.response is None:
        return Metrics(cost=attempt.cost.amount)
    usage = attempt.response.usage
    return Metrics(
        tokens_in=usage.input_tokens,
        tokens_out=usage.output_tokens,
        cached_tokens=usage.cached_tokens,
        reasoning_tokens=usage.reasoning_tokens,
        cost=attempt.cost.amount,
        model=attempt.response.model,
    )
