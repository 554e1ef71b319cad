"""On what terms a step calls a model: who answers, what it may cost, how fast it may go, whether old answers serve."""

from __future__ import annotations

import asyncio
import threading
from datetime import timedelta
from typing import TYPE_CHECKING, Any
from weakref import WeakValueDictionary

from kurt.core.calling import Caller, FunctionCaller
from kurt.core.mocking import mock_here
from kurt.core.row_traces import tenant

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from kurt.config import Settings
    from kurt.core.llm_steps import LLMStep
    from kurt.core.row_traces import RowTraces
    from kurt.core.tracing import TraceWriter
    from kurt.llm.budget import Books, Budget, Ledger, Ledgers
    from kurt.llm.cache import ResponseCache
    from kurt.llm.limits import Limiter, RateLimit
    from kurt.llm.mock import MockCompleter


async def caller_of(step: LLMStep, traces: RowTraces, threads: int) -> Caller:
    """Who gets the answers of a call of a step; to be asked on the event loop where the rows are.

    Raises:
        ConfigError: no model is set.
        UsageError: what the step asks for needs a workflow.
    """
    if step.substitute is None and (pretender := await asyncio.to_thread(mock_here, step.name)) is not None:
        return _pretended(step, traces, pretender)
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
        limiter=limiter_of(settings, model, step.rate_limit, module=step.module, step=step.name),
        cache=cache_of(step.cache, settings),
        prices=PriceList.from_settings(settings),
    )


def _pretended(step: LLMStep, traces: RowTraces, pretender: MockCompleter) -> Caller:
    """Who gets made-up answers: also in place of the user's own function; limits, budgets and caches are left alone."""
    from kurt.config.current import current_settings  # noqa: PLC0415 - as above
    from kurt.core.model_caller import ModelCaller  # noqa: PLC0415 - as above
    from kurt.llm.providers import chosen_model  # noqa: PLC0415 - as above

    model = chosen_model(current_settings(), step.model, module=step.module, step=step.name)
    return ModelCaller(
        pretender, pretender.model(model), step.output_schema, traces, retry=step.retry, params=step.params
    )


async def _ledger(step: LLMStep, traces: RowTraces) -> Ledger | Ledgers | None:
    """What the step may spend, by its own budget, else by that of the settings; with what has been spent before.

    The budgets of files that run the workflow hold as well.
    """
    budget = step.budget
    if traces.writer is None:
        if budget is None:
            return None
        from kurt.llm.budget import Ledger  # noqa: PLC0415 - most steps have no budget

        return Ledger(budget)
    from kurt.config.current import current_settings  # noqa: PLC0415 - who has traces has settings
    from kurt.llm.budget import Budget, Ledgers  # noqa: PLC0415 - as above
    from kurt.runtime.spending_limits import limits_of_run  # noqa: PLC0415 - as above

    settings = current_settings()
    budget = budget or Budget.from_settings(settings, module=step.module, step=step.name)
    run_id = traces.run_id
    outer = [] if run_id is None else await asyncio.to_thread(limits_of_run, run_id)
    if budget is None and not outer:
        return None
    held = [] if budget is None else [await ledger_of(budget, settings, traces.writer, traces.place)]
    for stored in outer:
        given = Budget(stored["usd"], stored["tokens"], "run", stored["on_spent"], stored["hint"])
        held.append(await ledger_of(given, settings, traces.writer, traces.place, below=stored["below"]))
    return Ledgers(held)


async def ledger_of(
    budget: Budget,
    settings: Settings,
    writer: TraceWriter,
    place: dict[str, Any],
    *,
    below: str | None = None,
) -> Ledger:
    """The books of a budget, with what has been spent before.

    Args:
        budget: what may be spent.
        settings: the project's settings.
        writer: knows what has been spent.
        place: where the calls belong: `run_id`, `step`, `workspace_id`.
        below: the run whose calls alone count, with those of its children, where it is itself the child of another one.
    """
    from kurt.llm.budget import Ledger  # noqa: PLC0415 - most steps have no budget

    within = _within(budget, place)
    if below is not None and budget.scope == "run":
        within["below"] = below
    books = _books_of(settings.database_url, writer, within)
    await books.look()
    return Ledger(budget, books=books)


def _within(budget: Budget, place: dict[str, Any]) -> dict[str, Any]:
    """Which attempts count."""
    match budget.scope:
        case "step":
            return {"run_id": place["run_id"], "step": place["step"]}
        case "run":
            return {"run_id": place["run_id"]}
        case "workspace":
            return {"workspace_id": place["workspace_id"]}


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


def limiter_of(
    settings: Settings, model: str, limit: RateLimit | None, *, module: str | None, step: str | None
) -> Limiter | None:
    """The limiter of a step's own limit, else of the one that the settings give; None for no limit."""
    from kurt.llm.limits import RateLimit  # noqa: PLC0415 - loads nothing that the client has not

    limit = limit or RateLimit.from_settings(settings, module=module, step=step)
    if limit is None:
        return None
    from kurt.llm.shared_limits import shared_limiter  # noqa: PLC0415 - most steps have no limit

    return shared_limiter(settings, model, limit, engine=_engine(settings), module=module, step=step)


def cache_of(
    wanted: bool | timedelta | ResponseCache | None,
    settings: Settings,
) -> ResponseCache | None:
    """The cache of answers that a step asks for: the project's own, for ever or for some time, or one that it brings."""
    if wanted is None or wanted is False:
        return None
    if wanted is not True and not isinstance(wanted, timedelta):
        return wanted
    from kurt.llm.stored_answers import DatabaseCache  # noqa: PLC0415 - most steps have no cache

    user_id, workspace_id = tenant()
    lifetime = None if wanted is True else wanted
    return DatabaseCache(_engine(settings), tenant=f"{workspace_id or ''}/{user_id or ''}", lifetime=lifetime)


def _engine(settings: Settings) -> Engine:
    from kurt.db import get_engine  # noqa: PLC0415 - as above

    return get_engine(settings)
