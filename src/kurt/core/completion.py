"""Calling models from inside a step of a run, or outside of any: one door for all kinds of steps.

    calls = await calls_here(step="summary")
    answer = await calls.ask(calls.request("Tell of the sea"))

Whoever comes through this door has Kurt's client, one row of `llm_traces` for each attempt (never a second one after a
replay), the rate limits, the budgets, the prices and, if asked for, the cache of answers.
"""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Any, cast

from kurt.core.calling import Retry, policy_of
from kurt.core.row_traces import Labels, RowTraces, StepPlace, place_here
from kurt.core.terms import cache_of, ledger_of, limiter_of
from kurt.llm.calls import Answer, ask
from kurt.llm.types import Message, Request, Response

if TYPE_CHECKING:
    from datetime import timedelta

    from pydantic import BaseModel

    from kurt.config import Settings
    from kurt.llm.budget import Budget, Ledger, Ledgers
    from kurt.llm.cache import ResponseCache
    from kurt.llm.embeddings import Embedder
    from kurt.llm.limits import Limiter
    from kurt.llm.prices import PriceList
    from kurt.llm.types import Attempt, Completer, EmbedRequest, EmbedResponse
    from kurt.runtime.step_batch import StepBatch
    from kurt.types import JsonObject

_OWN_PARAMS = ("temperature", "max_tokens", "timeout")


@dataclass(frozen=True, slots=True)
class Held:
    """A budget that is to be kept.

    Attributes:
        budget: what may be spent.
        below: the child run whose calls alone count for a budget of scope `run`; by default those of the whole run.
    """

    budget: Budget
    below: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """On what terms models are called.

    Attributes:
        step: the name under which the calls are traced and counted.
        module: the workflow whose settings hold.
        setting: the step whose settings hold, `<MODULE>.<STEP>.LLM_MODEL`; by default that of the name.
        model: `provider/model` where a request names none; by default what the settings say.
        budgets: what may be spent; each of them is kept. The settings add theirs for a scope of which none is given.
        retry: how often a failed call is repeated: a `RetryPolicy` or a number of attempts; five attempts by default.
        cache: use answers that were paid before, for ever (true) or for some time.
        completer: who answers in place of Kurt's client.
        settings: the project's settings; those of the process by default.
        mask: hides secrets in what is traced.
    """

    step: str
    module: str | None = None
    setting: str | None = None
    model: str | None = None
    budgets: Sequence[Held] = ()
    retry: Retry = None
    cache: bool | timedelta | ResponseCache | None = None
    completer: Completer | None = None
    settings: Settings | None = None
    mask: Callable[[str], str] | None = None

    @property
    def settings_of(self) -> str:
        """The step whose settings hold."""
        return self.setting or self.step


@dataclass(slots=True)
class Calls:
    """The calls of one execution of a step; any number of them at once. Make it with `calls_here`.

    Attributes:
        terms: how models are called.
        settings: the project's settings.
        completer: who answers.
        traces: are told of each attempt.
        ledger: keeps the budgets, if there are any.
        cache: answers that were paid before, if they are to be used.
        prices: what tokens cost.
        made: calls that were made of a model, failed ones included.
    """

    terms: Terms
    settings: Settings
    completer: Completer
    traces: RowTraces
    ledger: Ledger | Ledgers | None
    cache: ResponseCache | None
    prices: PriceList
    made: int = 0
    _rows: itertools.count[int] = field(default_factory=itertools.count)

    @property
    def model(self) -> str:
        """The model of requests that name none.

        Raises:
            ConfigError: none is set.
        """
        from kurt.llm.providers import chosen_model, require_model  # noqa: PLC0415 - beside its use

        terms = self.terms
        pretended = _name_for(self.completer)
        if pretended is not None:  # who makes answers up needs no model
            return pretended(
                chosen_model(self.settings, terms.model, module=terms.module, step=terms.settings_of)
            )
        return require_model(self.settings, terms.model, module=terms.module, step=terms.settings_of)

    def request(
        self,
        prompt: str,
        *,
        system: str | None = None,
        schema: JsonObject | None = None,
        params: Mapping[str, Any] | None = None,
    ) -> Request:
        """The request for one prompt.

        Args:
            prompt: what the user says.
            system: what is said before.
            schema: JSON Schema that the answer must fit; None for text.
            params: `temperature`, `max_tokens`, `timeout`, and what the provider itself knows.
        """
        more = dict(params or {})
        known = {name: more.pop(name) for name in _OWN_PARAMS if more.get(name) is not None}
        before = () if system is None else (Message("system", system),)
        messages = (*before, Message("user", prompt))
        return Request(self.model, messages, schema=schema, params=more, **known)

    async def ask(
        self, request: Request, schema: type[BaseModel] | None = None, *, row: int | None = None
    ) -> Answer:
        """Have a model answer a request; see `kurt.llm.calls.ask`.

        Args:
            request: what to ask; a `model` that is empty is the one of the terms.
            schema: pydantic model that the answer must fit.
            row: number of the request in the step, under which it is traced; by default they are counted.

        Raises:
            ModelError: the last failure, with all `attempts`.
            ConfigError: the settings do not say which model, or where it is.
            CredentialsError: the model's key is missing.
        """
        number = next(self._rows) if row is None else row
        request = request if request.model else replace(request, model=self.model)
        terms, traced = self.terms, self.traces.on
        prompt = request.messages[-1].content if request.messages else ""
        answer = await ask(
            request,
            schema,
            completer=self.completer,
            retry=policy_of(terms.retry),
            limiter=self._limiter(request.model),
            ledger=self.ledger,
            cache=self.cache,
            prices=self.prices,
            on_attempt_start=partial(self._started, number, prompt, request.model) if traced else None,
            on_attempt=partial(self._over, number),
            first_attempt=self.traces.first_attempt(number),
        )
        flush: Callable[[], Awaitable[None]] | None = getattr(self.cache, "flush", None)
        if flush is not None:
            await flush()  # the run may be over a moment later
        return answer

    async def embed(
        self,
        texts: Sequence[str],
        *,
        dimensions: int | None = None,
        seconds: float | None = None,
        row: int | None = None,
    ) -> EmbedResponse:
        """Turn texts into vectors, in one call; lexical ones where no model is set.

        Args:
            texts: the texts.
            dimensions: length of the vectors, where the model lets one choose.
            seconds: time limit of the call.
            row: as for `ask`.

        Raises:
            ModelError: the last failure.
            ConfigError: there is an address but no model, or nobody knows the provider.
            CredentialsError: the model's key is missing.
        """
        from kurt.llm.errors import ModelError  # noqa: PLC0415 - beside its use
        from kurt.llm.types import EmbedRequest  # noqa: PLC0415 - as above

        place = next(self._rows) if row is None else row
        embedder, model = self._embedder()
        limit = {} if seconds is None else {"timeout": seconds}
        request = EmbedRequest(model, tuple(texts), dimensions, **limit)
        policy, failures = policy_of(self.terms.retry), 0
        while True:
            try:
                return await self._made(place, embedder, request)
            except ModelError as error:
                failures += 1
                delay = policy.delay(error, failures)
                if delay is None:
                    raise
            await asyncio.sleep(delay)

    async def _made(self, row: int, embedder: Embedder, request: EmbedRequest) -> EmbedResponse:
        """One call for vectors."""
        from kurt.llm.embeddings import LEXICAL  # noqa: PLC0415 - as above
        from kurt.llm.errors import ModelError  # noqa: PLC0415 - as above

        if self.ledger is not None:
            await self.ledger.admit()
        number, started_at = self.traces.first_attempt(row), time.time()
        prompt = f"{len(request.texts)} texts"
        await self.traces.started(row, number, prompt, request.model)
        try:
            response = await embedder.embed(request)
        except ModelError as error:
            self.made += 1
            await self.traces.call_over(row, number, prompt, started_at, None, error, model=request.model)
            raise
        self.made += response.provider != LEXICAL
        # Prices look at what both kinds of answers have: usage, model, provider, price.
        cost = self.prices.cost_of(request.model, cast("Any", response))
        if self.ledger is not None:
            self.ledger.add(request.model, cost, response.usage)
        await self.traces.call_over(
            row, number, prompt, started_at, response, None, model=request.model, cost=cost
        )
        return response

    def _embedder(self) -> tuple[Embedder, str]:
        """What makes vectors, and the name of its model."""
        from kurt.core.embeddings import replacement  # noqa: PLC0415 - few runs make vectors
        from kurt.llm.embeddings import LEXICAL_MODEL, embedder_for  # noqa: PLC0415 - as above

        terms = self.terms
        if (stand_in := replacement()) is not None:
            return _StandIn(stand_in), LEXICAL_MODEL
        pretended: Callable[[], Embedder] | None = getattr(self.completer, "embedder", None)
        named = _name_for(self.completer)
        if pretended is not None and named is not None:
            return pretended(), named(self.model_of_vectors)
        return embedder_for(self.settings, terms.model, module=terms.module, step=terms.settings_of)

    @property
    def model_of_vectors(self) -> str | None:
        """The model that makes vectors, None for lexical ones."""
        from kurt.llm.providers import chosen_model  # noqa: PLC0415 - beside its use

        terms = self.terms
        return chosen_model(
            self.settings, terms.model, module=terms.module, step=terms.settings_of, kind="EMBEDDING"
        )

    async def complete(self, request: Request) -> Response:
        """The same for those who want the answer as it came: a `Completer`.

        Raises:
            ModelError: as `ask`.
        """
        answer = await self.ask(request)
        response = answer.attempts[-1].response
        assert response is not None  # noqa: S101 - a call without an answer raises
        return response

    def _limiter(self, model: str) -> Limiter | None:
        if _name_for(self.completer) is not None:
            return None
        return limiter_of(self.settings, model, None, module=self.terms.module, step=self.terms.settings_of)

    async def _over(self, row: int, attempt: Attempt) -> None:
        self.made += not attempt.cache_hit
        await self.traces.model_attempt(row, attempt)

    async def _started(self, row: int, prompt: str, model: str, number: int) -> None:
        await self.traces.started(row, number, prompt, model)


class _StandIn:
    """Makes vectors by a function, as an `Embedder`; for tests."""

    def __init__(self, vectors: Callable[[Sequence[str]], list[list[float]]]) -> None:
        self._vectors = vectors

    async def embed(self, request: EmbedRequest) -> EmbedResponse:
        """Turn texts into vectors, at no cost."""
        from kurt.llm.types import EmbedResponse, Usage  # noqa: PLC0415 - beside their use

        return EmbedResponse(self._vectors(request.texts), Usage(0, 0), "mock", "mock", raw_cost=0.0)


def _name_for(completer: Completer) -> Callable[[str | None], str] | None:
    """How a completer that only makes answers up names the model that would have been asked; None for any other."""
    return getattr(completer, "model", None)


async def calls_here(terms: Terms, *, batch: StepBatch | None = None) -> Calls:
    """Open the calls of the step in which the caller is, or of a batch of rows; outside of a run nothing is traced.

    Raises:
        ConfigError: a setting cannot be read.
        StorageError: what was spent before cannot be read.
    """
    from kurt.config.current import current_settings  # noqa: PLC0415 - beside its use
    from kurt.llm.client import client_for_loop  # noqa: PLC0415 - as above
    from kurt.llm.prices import PriceList  # noqa: PLC0415 - as above

    settings = terms.settings or current_settings()
    where: StepBatch | StepPlace | None = batch or place_here()
    traces = RowTraces(terms.step, where, Labels(), mask=terms.mask)
    await traces.prepare()
    completer = terms.completer or client_for_loop(settings, module=terms.module, step=terms.settings_of)
    return Calls(
        terms,
        settings,
        completer,
        traces,
        await ledger_here(terms, settings, traces),
        cache_of(terms.cache, settings),
        PriceList.from_settings(settings),
    )


async def ledger_here(terms: Terms, settings: Settings, traces: RowTraces) -> Ledger | Ledgers | None:
    """The books of all budgets that hold, None where there are none.

    Raises:
        ConfigError: a setting cannot be read.
        StorageError: what was spent before cannot be read.
    """
    from kurt.llm.budget import Budget, Ledger, Ledgers  # noqa: PLC0415 - as above

    held = list(terms.budgets)
    own = Budget.from_settings(settings, module=terms.module, step=terms.settings_of)
    if own is not None and traces.on and all(one.budget.scope != own.scope for one in held):
        held.append(Held(own))
    if not held:
        return None
    if traces.writer is None:
        return Ledgers([Ledger(one.budget) for one in held])
    return Ledgers(
        [await ledger_of(one.budget, settings, traces.writer, traces.place, below=one.below) for one in held]
    )


async def complete_here(
    request: Request, terms: Terms, schema: type[BaseModel] | None = None, *, row: int = 0
) -> Answer:
    """One call; see `Calls.ask`."""
    return await (await calls_here(terms)).ask(request, schema, row=row)
