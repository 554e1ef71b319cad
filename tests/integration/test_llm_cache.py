"""Stored answers and budgets: nothing is paid twice, nothing crosses tenants, nothing goes on beyond the budget."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import timedelta

import pytest
from sqlalchemy import text

from kurt.config import Settings
from kurt.db import get_engine
from kurt.errors import ConfigError
from kurt.llm.budget import Budget, Ledger
from kurt.llm.errors import BudgetSpentError
from kurt.llm.prices import PriceList
from kurt.llm.stored_answers import DatabaseCache
from kurt.testing.faults import not_an_answer, server_error, wrong_schema
from kurt.testing.model_server import ModelServer
from tests.support.asking import KEY, Asker, Loose, price_of, settings_for, tokens_of
from tests.support.database import BACKENDS

EACH_BACKEND = pytest.mark.parametrize("backend", BACKENDS)


@pytest.fixture
def server() -> Iterator[ModelServer]:
    with ModelServer(key=KEY) as made:
        yield made


@pytest.fixture
def asker(server: ModelServer) -> Asker:
    return Asker(server)


@EACH_BACKEND
async def test_the_same_question_is_paid_once(database: Settings, server: ModelServer, asker: Asker) -> None:
    cache = DatabaseCache(get_engine(database))
    first = await asker(cache=cache)
    await cache.flush()
    second = await asker(cache=DatabaseCache(get_engine(database)))
    assert len(server.arrivals) == 1
    assert second.value == first.value
    hit = second.attempts[0]
    assert hit.cache_hit
    assert not first.attempts[0].cache_hit
    assert (hit.cost.amount, hit.response.usage.total) == (0.0, 0)
    assert asker.started == [1]  # a hit is not announced: nothing leaves the process
    assert [attempt.cache_hit for attempt in asker.attempts] == [False, True]


@EACH_BACKEND
async def test_many_rows_are_read_and_written_together(database: Settings, server: ModelServer) -> None:
    asker, cache = Asker(server), DatabaseCache(get_engine(database))
    for _ in range(2):
        await asyncio.gather(*(asker(f"row {number}", cache=cache) for number in range(700)))
        await cache.flush()
    assert len(server.arrivals) == 700
    assert sum(attempt.cache_hit for attempt in asker.attempts) == 700


@pytest.mark.parametrize("backend", ["sqlite"])
@pytest.mark.parametrize(
    "changed",
    [
        {"prompt": "Another question"},
        {"schema": Loose},
        {"model": "openai/gpt-4.1"},
        {"fields": {"temperature": 0.5}},
        {"fields": {"max_tokens": 10}},
        {"fields": {"params": {"seed": 1}}},
    ],
    ids=lambda value: next(iter(value)),
)
async def test_whatever_changes_an_answer_is_part_of_its_key(
    database: Settings, server: ModelServer, asker: Asker, changed: dict[str, object]
) -> None:
    cache = DatabaseCache(get_engine(database))
    await asker(cache=cache)
    await cache.flush()
    await asker(cache=cache, **changed)
    assert len(server.arrivals) == 2


@EACH_BACKEND
async def test_tenants_and_endpoints_do_not_share(database: Settings, server: ModelServer) -> None:
    engine = get_engine(database)
    for tenant in ("ana", "ben"):
        cache = DatabaseCache(engine, tenant=tenant)
        await Asker(server)(cache=cache)
        await cache.flush()
    assert len(server.arrivals) == 2
    with ModelServer() as other:
        await Asker(other)(cache=DatabaseCache(engine, tenant="ana"))
        assert len(other.arrivals) == 1


@EACH_BACKEND
async def test_an_answer_grows_old(database: Settings, server: ModelServer, asker: Asker) -> None:
    engine = get_engine(database)
    for lifetime in (timedelta(hours=-1), timedelta(hours=1), timedelta(hours=1)):
        cache = DatabaseCache(engine, lifetime=lifetime)
        await asker(cache=cache)
        await cache.flush()
    assert [attempt.cache_hit for attempt in asker.attempts] == [False, False, True]


@pytest.mark.parametrize("backend", ["sqlite"])
async def test_failures_are_not_stored(database: Settings, server: ModelServer, asker: Asker) -> None:
    cache = DatabaseCache(get_engine(database))
    server.script("", always=wrong_schema())
    with pytest.raises(Exception, match="breaks the schema"):
        await asker(cache=cache)
    await cache.flush()
    with get_engine(database).connect() as connection:
        assert connection.execute(text("SELECT count(*) FROM llm_cache")).scalar() == 0


@pytest.mark.parametrize("backend", ["sqlite"])
async def test_a_stored_answer_that_does_not_fit_any_more_is_paid_anew(
    database: Settings, server: ModelServer, asker: Asker
) -> None:
    cache = DatabaseCache(get_engine(database))
    await asker(cache=cache)
    await cache.flush()
    with get_engine(database).begin() as connection:
        connection.execute(text("""UPDATE llm_cache SET value = json_set(value, '$.text', '{"n": 1}')"""))
    assert (await asker(cache=cache)).value.sentiment == "mock_sentiment"
    await cache.flush()


@EACH_BACKEND
async def test_an_answer_that_no_database_holds_costs_no_row(database: Settings, asker: Asker) -> None:
    with ModelServer(answer=lambda prompt, schema: f"\0 {prompt}") as server:
        cache, odd = DatabaseCache(get_engine(database)), Asker(server)
        answers = await asyncio.gather(*(odd(f"{n}", None, cache=cache) for n in range(3)))
        await cache.flush()
    assert [answer.text for answer in answers] == ["\0 0", "\0 1", "\0 2"]


@pytest.mark.parametrize("backend", ["sqlite"])
async def test_a_cache_that_cannot_be_used_is_told_and_costs_no_row(
    database: Settings, asker: Asker, caplog: pytest.LogCaptureFixture
) -> None:
    with get_engine(database).begin() as connection:
        connection.execute(text("DROP TABLE llm_cache"))
    cache = DatabaseCache(get_engine(database))
    assert (await asker(cache=cache)).value
    await cache.flush()
    assert "paid again" in caplog.text
    assert "cannot be stored" in caplog.text


async def test_a_budget_lets_no_more_calls_begin(server: ModelServer, asker: Asker) -> None:
    server.latency = 0.02
    one = price_of((await asker("row 0")).attempts[0])
    ledger = Ledger(Budget(usd=one * 20.5))
    begun = asyncio.Semaphore(5)

    async def row(number: int) -> str:
        async with begun:
            try:
                await asker(f"row {number % 10}", ledger=ledger)
            except BudgetSpentError:
                return "spent"
            return "done"

    server.reset()
    outcomes = await asyncio.gather(*(row(number) for number in range(60)))
    done = outcomes.count("done")
    assert 21 <= done <= 21 + 4  # those in flight when the budget was reached
    assert len(server.arrivals) == done
    assert ledger.usd == pytest.approx(one * done)
    assert ledger.left[0] == 0


async def test_repetitions_and_re_asks_count_into_the_budget(server: ModelServer, asker: Asker) -> None:
    server.script("", always=wrong_schema())
    ledger = Ledger(Budget(tokens=1))
    with pytest.raises(BudgetSpentError, match="tokens are used") as failure:
        await asker(ledger=ledger)
    assert len(server.arrivals) == 1
    assert [attempt.error.type for attempt in failure.value.attempts] == ["BreaksSchema"]


async def test_what_was_spent_before_counts(server: ModelServer, asker: Asker) -> None:
    with pytest.raises(BudgetSpentError, match=r"\$5\.0000 of \$5\.00 are spent") as failure:
        await asker(ledger=Ledger(Budget(usd=5), usd=5.0))
    assert failure.value.fatal
    assert server.arrivals == []
    assert asker.attempts == []


async def test_failed_calls_without_usage_do_not_look_like_free_ones(
    server: ModelServer, asker: Asker
) -> None:
    server.script("", server_error())
    ledger = Ledger(Budget(usd=1))
    await asker(ledger=ledger)
    assert asker.attempts[0].cost.amount is None
    assert ledger.usd == asker.attempts[1].cost.amount


async def test_a_budget_in_dollars_needs_a_price(server: ModelServer, asker: Asker) -> None:
    ledger = Ledger(Budget(usd=1))
    answer = await asker(model="compatible/house-model", ledger=ledger)
    assert (answer.attempts[0].cost.amount, answer.attempts[0].cost.source) == (None, None)
    with pytest.raises(ConfigError, match=r"price of 'compatible/house-model' is not known") as failure:
        await asker(model="compatible/house-model", ledger=ledger)
    assert "LLM.PRICES" in (failure.value.hint or "")
    assert len(server.arrivals) == 1


async def test_a_price_of_the_project_comes_first(server: ModelServer, asker: Asker) -> None:
    settings = settings_for(server, KURT_LLM__PRICES="openai/*=1000000/2000000, compatible/house=1/2")
    answer = await asker(prices=PriceList.from_settings(settings))
    prompt, said = tokens_of(answer.attempts[0])
    assert answer.attempts[0].cost.amount == pytest.approx(prompt + 2 * said)
    assert answer.attempts[0].cost.source == "override"


async def test_an_answer_without_usage_has_no_price(server: ModelServer, asker: Asker) -> None:
    body = b'{"choices": [{"message": {"content": "fine"}, "finish_reason": "stop"}]}'
    server.script("", not_an_answer(body))
    answer = await asker(schema=None)
    assert answer.attempts[0].cost.amount is None
    assert answer.attempts[0].response.usage.input_tokens is None


async def test_what_the_provider_charges_comes_before_the_table(server: ModelServer, asker: Asker) -> None:
    body = (
        b'{"choices": [{"message": {"content": "fine"}, "finish_reason": "stop"}],'
        b' "usage": {"prompt_tokens": 7, "completion_tokens": 3, "cost": 0.125}}'
    )
    server.script("", not_an_answer(body))
    answer = await asker(schema=None, model="openrouter/openai/gpt-4.1-mini")
    assert (answer.attempts[0].cost.amount, answer.attempts[0].cost.source) == (0.125, "provider")
