"""Calls of a model, 50 in flight: `python calls.py aiohttp|kurt URL COUNT [PROJECT]`.

`aiohttp` posts the same bytes and parses the answer; `kurt` asks with a schema, rate limits, a budget, prices and traces,
and with the cache of the project's database where one is given.
"""

from __future__ import annotations

import asyncio
import json
import secrets
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

import aiohttp
from pydantic import BaseModel

CONCURRENCY = 50
SALT = secrets.token_hex(4)
"""Makes the prompts of each process its own, so that no cache knows them."""

MODEL = "openai/gpt-4.1-mini"


class Verdict(BaseModel):
    sentiment: str
    confidence: float
    topics: list[str]


async def every_row(count: int, row: Callable[[int], Awaitable[None]]) -> None:
    numbers = iter(range(count))

    async def work() -> None:
        for number in numbers:
            await row(number)

    await asyncio.gather(*(work() for _ in range(CONCURRENCY)))


def prompt(number: int) -> str:
    return f"Row {number} of {SALT}: " + "what do people say about it? " * 20


async def with_aiohttp(url: str, count: int) -> None:
    schema = {**Verdict.model_json_schema(), "additionalProperties": False}
    form = {"type": "json_schema", "json_schema": {"name": "Verdict", "schema": schema, "strict": True}}
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:

        async def row(number: int) -> None:
            body = {
                "model": "gpt-4.1-mini",
                "messages": [{"role": "user", "content": prompt(number)}],
                "response_format": form,
            }
            async with session.post(url + "/chat/completions", data=json.dumps(body).encode()) as answer:
                json.loads(json.loads(await answer.read())["choices"][0]["message"]["content"])

        await every_row(count, row)


async def with_kurt(url: str, count: int, project: str | None) -> None:
    from kurt.config import load_settings
    from kurt.llm.budget import Budget, Ledger
    from kurt.llm.calls import ask
    from kurt.llm.client import client_for_loop
    from kurt.llm.limits import Limiter, RateLimit
    from kurt.llm.stored_answers import DatabaseCache
    from kurt.llm.types import Attempt, Message, Request

    settings = load_settings(environ={"KURT_LLM__BASE_URL": url, "LLM_API_KEY": "none"})
    client = client_for_loop(settings)
    limiter = Limiter(RateLimit(10_000_000, 10_000_000_000))
    ledger = Ledger(Budget(usd=1e9))
    cache = None
    if project is not None:
        from kurt.db import get_engine, init_database

        own = load_settings(Path(project))
        init_database(own)
        cache = DatabaseCache(get_engine(own))
    seen: list[int] = []

    async def begun(number: int) -> None:
        seen.append(number)

    async def done(attempt: Attempt) -> None:
        seen.append(attempt.number)

    async def row(number: int) -> None:
        request = Request(MODEL, (Message("user", prompt(number)),))
        answer = await ask(
            request,
            Verdict,
            completer=client,
            limiter=limiter,
            ledger=ledger,
            cache=cache,
            on_attempt_start=begun,
            on_attempt=done,
        )
        assert answer.attempts[0].cost.amount

    await every_row(count, row)
    if cache is not None:
        await cache.flush()


if __name__ == "__main__":
    kind, url, count, *rest = sys.argv[1:]
    work = with_aiohttp(url, int(count)) if kind == "aiohttp" else with_kurt(url, int(count), *rest or [None])
    asyncio.run(work)
