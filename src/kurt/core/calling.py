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
from kurt.errors import KurtError

if TYPE_CHECKING:
    from pydantic import BaseModel

    from kurt.types import JsonObject


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


def text_of_error(error: BaseException) -> str:
    """What an error says; its class where it says nothing."""
    return (error.message if isinstance(error, KurtError) else str(error)) or type(error).__name__


def type_of_error(error: BaseException) -> str:
    """The name of a kind of failure."""
    return str(getattr(error, "type", None) or type(error).__name__)


class Caller(Protocol):
    """Gets the answer for one row."""

    async def __call__(self, index: int, prompt: str) -> Answer:
        """Get it.

        Raises:
            RowError: there is none.
        """
        ...


class FunctionCaller:
    """Calls the user's function; one that is not asynchronous in threads that carry the run's context.

    Args:
        function: takes the prompt.
        schema: what its answer must fit.
        threads: how many threads there may be.
    """

    def __init__(self, function: Callable[[str], Any], schema: type[BaseModel], threads: int) -> None:
        self._function = function
        self._schema = schema
        self._asynchronous = inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(
            getattr(function, "__call__", None)  # noqa: B004 - an object may have an asynchronous `__call__`
        )
        self._pool = None if self._asynchronous else ThreadPoolExecutor(threads, "kurt-row")

    async def __call__(self, index: int, prompt: str) -> Answer:
        del index
        metrics = Metrics()
        try:
            answer, metrics = interpret(await self._call(prompt))
            return Answer(fields_of(self._schema, answer), metrics)
        except Exception as error:
            raise RowError(error, metrics=metrics) from error

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


def milliseconds_since(start: float) -> int:
    """Whole milliseconds since a moment of `time.perf_counter()`."""
    return round((time.perf_counter() - start) * 1000)
