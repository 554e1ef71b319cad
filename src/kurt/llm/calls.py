"""The whole of one row: cache, limits, budget, the call, its repetitions, and an answer that fits its schema."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

from kurt.llm.errors import AnswerError, ModelError
from kurt.llm.prices import DEFAULT_PRICES
from kurt.llm.retry import RetryPolicy
from kurt.llm.schemas import REASKABLE, checker, schema_of
from kurt.llm.types import UNKNOWN_COST, Attempt, Completer, Cost, Message, Request, Response, Usage

if TYPE_CHECKING:
    from pydantic import BaseModel

    from kurt.llm.budget import Ledger, Ledgers
    from kurt.llm.cache import ResponseCache
    from kurt.llm.limits import Limiter, Permit
    from kurt.llm.prices import PriceList

Kind = Literal["call", "reask"]
"""Whether the model is asked for the first time, or shown the fault of its answer."""

OnStart = Callable[[int], Awaitable[None]]
"""Awaited with the attempt's number before a call leaves the process."""

OnAttempt = Callable[[Attempt], Awaitable[None]]
"""Awaited after a call came back or failed, and after a hit of the cache."""

SHOWN_ANSWER = 8_000
"""Characters of a faulty answer that the model is shown again."""

_FREE = Cost(0.0, "USD", "local")
_DEFAULT_RETRY = RetryPolicy()


@dataclass(frozen=True, slots=True)
class Answer:
    """What became of a row.

    Attributes:
        value: an instance of the schema's model; parsed JSON for a plain JSON Schema; else the text.
        text: the answer as the model wrote it.
        attempts: all calls that were made for it, the successful one last.
    """

    value: Any
    text: str
    attempts: tuple[Attempt, ...]


async def ask(  # noqa: PLR0913 - one keyword for each part that a row goes through
    request: Request,
    schema: type[BaseModel] | None = None,
    *,
    completer: Completer,
    retry: RetryPolicy = _DEFAULT_RETRY,
    limiter: Limiter | None = None,
    ledger: Ledger | Ledgers | None = None,
    cache: ResponseCache | None = None,
    prices: PriceList | None = None,
    on_attempt_start: OnStart | None = None,
    on_attempt: OnAttempt | None = None,
    first_attempt: int = 1,
) -> Answer:
    """Have a model answer a request.

    Args:
        request: what to ask; its `schema` is filled from the model `schema` where it has none.
        schema: pydantic model that the answer must fit.
        completer: who calls.
        retry: how often and how late failures are repeated, and how often a faulty answer is asked for again.
        limiter: keeps the provider's rate limits.
        ledger: keeps the budget.
        cache: answers that were paid before.
        prices: what tokens cost; the built-in table by default.
        on_attempt_start: awaited with the attempt's number before a call leaves the process; not for a hit of the cache.
        on_attempt: awaited with each attempt, failed ones and hits of the cache included.
        first_attempt: number of the first attempt, where earlier processes have made some.

    Raises:
        ModelError: the last failure, with all `attempts`.
        ConfigError: the settings do not say which model, or where it is.
        CredentialsError: the model's key is missing.
    """
    if schema is not None and request.schema is None:
        request = replace(
            request, schema=schema_of(schema), schema_name=request.schema_name or schema.__name__
        )
    row = _Row(request, schema, completer, limiter, ledger, prices or DEFAULT_PRICES)
    row.on_start, row.on_attempt, row.number = on_attempt_start, on_attempt, first_attempt
    key = cache.key(request, completer) if cache is not None else ""
    if cache is not None and (found := await row.from_cache(cache, key)) is not None:
        return found
    answer = await row.run(retry)
    if cache is not None and (response := answer.attempts[-1].response) is not None:
        cache.put(key, response)
    return answer


class _Row:
    """The calls that are made for one row."""

    __slots__ = (
        "attempts",
        "check",
        "completer",
        "ledger",
        "limiter",
        "number",
        "on_attempt",
        "on_start",
        "prices",
        "request",
        "value",
    )

    def __init__(
        self,
        request: Request,
        schema: type[BaseModel] | None,
        completer: Completer,
        limiter: Limiter | None,
        ledger: Ledger | Ledgers | None,
        prices: PriceList,
    ) -> None:
        self.request = request
        self.check = checker(schema, request.schema)
        self.completer = completer
        self.limiter = limiter
        self.ledger = ledger
        self.prices = prices
        self.on_start: OnStart | None = None
        self.on_attempt: OnAttempt | None = None
        self.number = 1
        self.attempts: list[Attempt] = []
        self.value: Any = None

    async def from_cache(self, cache: ResponseCache, key: str) -> Answer | None:
        """The answer that was paid before, if it still fits the schema."""
        timing = _Timing()
        response = await cache.get(key)
        if response is None:
            return None
        try:
            self.value = self.check(response.text)
        except AnswerError:
            return None
        free = replace(response, usage=Usage(0, 0), raw_cost=None)
        await self._done(timing, self.request, "call", free, None, _FREE)
        return self._answer(free)

    async def run(self, retry: RetryPolicy) -> Answer:
        """Call until there is an answer, or no hope.

        Raises:
            ModelError: the last failure.
        """
        request, kind = self.request, "call"
        failures = reasks = 0
        while True:
            try:
                return self._answer(await self._attempt(request, kind))
            except ModelError as error:
                error.attempts = tuple(self.attempts)
                if error.type in REASKABLE and error.response is not None and reasks < retry.reasks:
                    reasks += 1
                    request, kind = _with_fault(self.request, error, error.response), "reask"
                    continue
                failures += 1
                delay = retry.delay(error, failures)
                if delay is None:
                    raise
                if error.retry_after is not None and self.limiter is not None:
                    self.limiter.pause(error.retry_after)
            await asyncio.sleep(delay)

    async def _attempt(self, request: Request, kind: Kind) -> Response:
        """One call.

        Raises:
            ModelError: it failed, or the answer does not fit.
        """
        permit = await self._permission(request)
        timing = _Timing()
        response: Response | None = None
        failure: ModelError | None = None
        try:
            response = await self.completer.complete(request)
            self.value = self.check(response.text)
        except ModelError as error:
            failure = error
            response = error.response = error.response or response
        finally:
            if permit is not None:
                permit.leave(response.usage if response is not None else None)
        await self._done(timing, request, kind, response, failure, self._cost(request, response))
        if failure is not None or response is None:
            raise failure or AnswerError()
        return response

    async def _permission(self, request: Request) -> Permit | None:
        """Wait for the rate limit, look at the budget, say that a call begins.

        Raises:
            BudgetSpentError: the budget is spent.
        """
        while True:
            permit = await self.limiter.enter(request) if self.limiter is not None else None
            try:
                if self.ledger is not None:
                    await self.ledger.admit()
                if self.on_start is not None:
                    await self.on_start(self.number)
            except BaseException:
                if permit is not None:
                    permit.leave(Usage(0, 0))
                raise
            if permit is None or permit.fresh():
                return permit
            permit.leave(Usage(0, 0))

    def _cost(self, request: Request, response: Response | None) -> Cost:
        """What an answer cost, entered into the books."""
        if response is None:
            return UNKNOWN_COST
        cost = self.prices.cost_of(request.model, response)
        if self.ledger is not None:
            self.ledger.add(request.model, cost, response.usage)
        return cost

    async def _done(
        self,
        timing: _Timing,
        request: Request,
        kind: Kind,
        response: Response | None,
        error: ModelError | None,
        cost: Cost,
    ) -> None:
        """Note an attempt and tell who wants to know."""
        attempt = Attempt(
            number=self.number,
            kind=kind,
            started_at=timing.started_at,
            latency_ms=(time.perf_counter() - timing.clock) * 1000,
            request=request,
            response=response,
            error=error,
            cost=cost,
            cache_hit=cost is _FREE,
        )
        self.attempts.append(attempt)
        self.number += 1
        if self.on_attempt is not None:
            await self.on_attempt(attempt)

    def _answer(self, response: Response) -> Answer:
        return Answer(self.value, response.text, tuple(self.attempts))


class _Timing:
    """When a call began: by the calendar, and by a clock that only goes forward."""

    __slots__ = ("clock", "started_at")

    def __init__(self) -> None:
        self.started_at = time.time()
        self.clock = time.perf_counter()


def _with_fault(request: Request, error: ModelError, response: Response) -> Request:
    """The first request again, with the last answer and what is wrong with it."""
    shown = response.text[:SHOWN_ANSWER]
    fault = (
        f"That answer cannot be used: {error.message}. "
        "Answer the request again, with nothing but JSON that fits the schema."
    )
    return replace(
        request,
        messages=(*request.messages, Message("assistant", shown or "(empty)"), Message("user", fault)),
    )
