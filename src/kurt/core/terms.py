"""On what terms a step calls a model: who answers, what it may cost, how fast it may go, whether old answers serve."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any
from weakref import WeakValueDictionary

from kurt.core.calling import Caller, FunctionCaller
from kurt.core.row_traces import tenant

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from kurt.config import Settings
    from kurt.core.llm_steps import LLMStep
    from kurt.core.row_traces import RowTraces
    from kurt.core.tracing import TraceWriter
    from kurt.llm.budget import Books, Budget, Ledger
    from kurt.llm.cache import ResponseCache
    from kurt.llm.limits import Limiter


async def caller_of(step: LLMStep, traces: RowTraces, threads: int) -> Caller:
    """Who gets the answers of a call of a step; to be asked on the event loop where the rows are.

    Raises:
        ConfigError: no model is set.
        UsageError: what the step asks for needs a workflow.
    """
    ledger = await _ledger(step, traces)
    if step.function is not None:
        return FunctionCaller(
            step.function, step.output_schema, threads, retry=step.retry, traces=traces, ledger=ledger
        )
    from kurt.config.current import current_settings  # noqa: PLC0415 - who calls by a function needs no settings
    from kurt.core.model_caller import ModelCaller  # noqa: PLC0415 - loads the client
    from kurt.llm.client import client_for_loop  # noqa: PLC0415 - as above
    from kurt.llm.prices import PriceList  # noqa: PLC0415 - as above
    from kurt.llm.providers import require_model  # noqa: PLC0415 - as above

    settings = current_settings()
    model = require_model(settings, step.model, module=step.module, step=step.name)
    return ModelCaller(
        step.completer or client_for_loop(settings, module=step.module, step=step.name),
        model,
        step.output_schema,
        traces,
        retry=step.retry,
        params=step.params,
        ledger=ledger,
        limiter=_limiter(step, settings, model),
        cache=_cache(step, settings),
        prices=PriceList.from_settings(settings),
    )


async def _ledger(step: LLMStep, traces: RowTraces) -> Ledger | None:
    """What the step may spend, by its own budget, else by that of the settings; with what has been spent before."""
    budget = step.budget
    if traces.writer is None:
        if budget is None:
            return None
        from kurt.llm.budget import Ledger  # noqa: PLC0415 - most steps have no budget

        return Ledger(budget)
    from kurt.config.current import current_settings  # noqa: PLC0415 - who has traces has settings
    from kurt.llm.budget import Budget, Ledger  # noqa: PLC0415 - as above

    settings = current_settings()
    budget = budget or Budget.from_settings(settings, module=step.module, step=step.name)
    if budget is None:
        return None
    books = _books_of(settings.database_url, traces.writer, _within(budget, step, traces))
    await books.look()
    return Ledger(budget, books=books)


def _within(budget: Budget, step: LLMStep, traces: RowTraces) -> dict[str, Any]:
    """Which attempts count."""
    match budget.scope:
        case "step":
            return {"run_id": traces.place["run_id"], "step": step.name}
        case "run":
            return {"run_id": traces.place["run_id"]}
        case "workspace":
            return {"workspace_id": traces.place["workspace_id"]}


_books: WeakValueDictionary[tuple[Any, ...], Books] = WeakValueDictionary()
_opening = threading.Lock()


def _books_of(database: str, writer: TraceWriter, within: dict[str, Any]) -> Books:
    """The books that all steps of this process keep together as long as one of them is at work."""
    from kurt.llm.budget import Books  # noqa: PLC0415 - as above

    async def read() -> tuple[float, int]:
        spent = await writer.spent(**within)
        return spent.usd, spent.tokens

    with _opening:
        key = (database, *sorted(within.items()))
        books = _books.get(key)
        if books is None:
            books = _books[key] = Books(read=read)
        return books


def _limiter(step: LLMStep, settings: Settings, model: str) -> Limiter | None:
    """The limiter of the step's own limit, else of the one that the settings give."""
    from kurt.llm.limits import RateLimit  # noqa: PLC0415 - loads nothing that the client has not

    limit = step.rate_limit or RateLimit.from_settings(settings, module=step.module, step=step.name)
    if limit is None:
        return None
    from kurt.llm.shared_limits import shared_limiter  # noqa: PLC0415 - most steps have no limit

    return shared_limiter(
        settings, model, limit, engine=_engine(settings), module=step.module, step=step.name
    )


def _cache(step: LLMStep, settings: Settings) -> ResponseCache | None:
    if step.cache is None or step.cache is False:
        return None
    if step.cache is not True:
        return step.cache
    from kurt.llm.stored_answers import DatabaseCache  # noqa: PLC0415 - most steps have no cache

    user_id, workspace_id = tenant()
    return DatabaseCache(_engine(settings), tenant=f"{workspace_id or ''}/{user_id or ''}")


def _engine(settings: Settings) -> Engine:
    from kurt.db import get_engine  # noqa: PLC0415 - as above

    return get_engine(settings)
