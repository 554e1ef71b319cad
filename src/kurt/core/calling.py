"""How the answer for one row is got: by the user's own function, or from a model by Kurt's client."""

from __future__ import annotations

import asyncio
import contextvars
import inspect
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from kurt.core.answers import Metrics, fields_of, interpret
from kurt.core.failures import text_of_error
from kurt.llm.errors import BudgetSpentError, ModelError
from kurt.llm.retry import RetryPolicy
from kurt.llm.types import Cost, Usage

if TYPE_CHECKING:
    from pydantic import BaseModel

    from kurt.core.row_traces import RowTraces
    from kurt.llm.budget import Ledger, Ledgers
    from kurt.types import JsonObject

Retry = RetryPolicy | int | None
"""How often a call is repeated, as an author says it."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What one row got.

    Attributes:
        fields: the answer's fields as they are stored.
        metrics: what all calls for the row consumed together.
        attempts: calls that were made.
        cached: it came from the cache.
    """

    fields: JsonObject
    metrics: Metrics = field(default_factory=Metrics)
    attempts: int = 1
    cached: bool = False


class RowError(Exception):
    """A row has no answer.

    Attributes:
        cause: what went wrong.
        metrics: what its calls consumed all the same.
        attempts: calls that were made.
        fatal: every other row would fail likewise.
    """

    def __init__(
        self,
        cause: Exception,
        *,
        metrics: Metrics | None = None,
        attempts: int = 1,
        fatal: bool = False,
    ) -> None:
        super().__init__(text_of_error(cause))
        self.cause = cause
        self.metrics = metrics or Metrics()
        self.attempts = attempts
        self.fatal = fatal


class Caller(Protocol):
    """Gets the answer for one row.

    Attributes:
        ledger: keeps the budget, if there is one.
    """

    ledger: Ledger | Ledgers | None

    async def __call__(self, index: int, prompt: str) -> Answer:
        """Get it.

        Raises:
            RowError: there is none; caused by a `BudgetSpentError` where nothing may be spent any more.
            KurtError: with `ends_step`: the answer is none of the row's business, the step cannot go on.
            KurtError: nothing can be asked: a setting or a key is missing.
        """
        ...

    def close(self) -> None:
        """Give back what it holds."""
        ...


class FunctionCaller:
    """Calls the user's function; one that is not asynchronous in threads that carry the run's context.

    Args:
        function: takes the prompt.
        schema: what its answer must fit.
        threads: how many threads there may be.
        retry: how often a failed call is repeated; by default only what says of itself that it may heal.
        traces: are told of each call.
        ledger: keeps the budget, if there is one.
    """

    def __init__(
        self,
        function: Callable[[str], Any],
        schema: type[BaseModel],
        threads: int,
        *,
        retry: Retry,
        traces: RowTraces,
        ledger: Ledger | Ledgers | None,
    ) -> None:
        self._function = function
        self._schema = schema
        self._asynchronous = inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(
            getattr(function, "__call__", None)  # noqa: B004 - an object may have an asynchronous `__call__`
        )
        self._pool = None if self._asynchronous else ThreadPoolExecutor(threads, "kurt-row")
        self._policy = policy_of(retry)
        self._retry_all = retry is not None
        self._traces = traces
        self.ledger = ledger

    async def __call__(self, index: int, prompt: str) -> Answer:
        spent: list[Metrics] = []
        number = self._traces.first_attempt(index)
        while True:
            await self._may_spend(spent)
            fields, metrics, error = await self._attempt(index, number, prompt)
            spent.append(metrics)
            if error is None:
                return Answer(fields, total(spent), len(spent))
            delay = self._policy.delay(self._as_model_error(error), len(spent))
            if delay is None:
                raise RowError(
                    error,
                    metrics=total(spent),
                    attempts=len(spent),
                    fatal=bool(getattr(error, "fatal", False)),
                ) from error
            await asyncio.sleep(delay)
            number += 1

    async def _may_spend(self, spent: list[Metrics]) -> None:
        """Look at the budget before a call.

        Raises:
            RowError: it is spent.
        """
        if self.ledger is None:
            return
        try:
            await self.ledger.admit()
        except BudgetSpentError as error:
            raise RowError(
                error, metrics=total(spent or [Metrics()]), attempts=len(spent), fatal=True
            ) from error

    async def _attempt(
        self, index: int, number: int, prompt: str
    ) -> tuple[JsonObject, Metrics, Exception | None]:
        """One call: the fields, what it consumed, and what went wrong."""
        started_at = time.time()
        await self._traces.started(index, number, prompt)
        fields: JsonObject = {}
        metrics, error = Metrics(), None
        try:
            answer, metrics = interpret(await self._call(prompt))
            fields = fields_of(self._schema, answer)
        except Exception as raised:  # the function is the user's: any error is the row's own
            if getattr(raised, "ends_step", False):
                raise
            error = raised
        if self.ledger is not None and metrics != Metrics():
            cost = Cost(metrics.cost, source="provider" if metrics.cost is not None else None)
            self.ledger.add(metrics.model or "llm_fn", cost, Usage(metrics.tokens_in, metrics.tokens_out))
        await self._traces.function_attempt(index, number, prompt, started_at, metrics, error or fields)
        return fields, metrics, error

    def _as_model_error(self, error: Exception) -> ModelError:
        """An error of any make, as retrying looks at it."""
        if isinstance(error, ModelError):
            return error
        after = getattr(error, "retry_after", None)
        return ModelError(
            text_of_error(error),
            retryable=self._retry_all,
            retry_after=float(after) if isinstance(after, (int, float)) else None,
        )

    async def _call(self, prompt: str) -> Any:
        if self._pool is None:
            return await self._function(prompt)
        context = contextvars.copy_context()
        loop = asyncio.get_running_loop()
        returned = await loop.run_in_executor(self._pool, lambda: context.run(self._function, prompt))
        return await returned if inspect.isawaitable(returned) else returned

    def close(self) -> None:
        """End the threads; a call that is still in one of them goes on unheard."""
        if self._pool is not None:
            self._pool.shutdown(wait=False, cancel_futures=True)


def policy_of(retry: Retry) -> RetryPolicy:
    """How often a call is repeated."""
    if retry is None:
        return RetryPolicy()
    return RetryPolicy(attempts=retry) if isinstance(retry, int) else retry


def total(calls: list[Metrics]) -> Metrics:
    """What several calls consumed together; what none of them tells stays unknown."""
    if len(calls) == 1:
        return calls[0]
    return Metrics(
        tokens_in=_sum([call.tokens_in for call in calls]),
        tokens_out=_sum([call.tokens_out for call in calls]),
        cached_tokens=_sum([call.cached_tokens for call in calls]),
        reasoning_tokens=_sum([call.reasoning_tokens for call in calls]),
        cost=_sum([call.cost for call in calls]),
        model=next((call.model for call in reversed(calls) if call.model), None),
    )


def _sum(parts: list[Any]) -> Any:
    known = [part for part in parts if part is not None]
    return sum(known) if known else None


def milliseconds_since(start: float) -> int:
    """Whole milliseconds since a moment of `time.perf_counter()`."""
    return round((time.perf_counter() - start) * 1000)
