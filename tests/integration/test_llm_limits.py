"""Rate limits hold in the server's log: by requests, by tokens, and among processes."""

from __future__ import annotations

import asyncio
import math
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from kurt.config import Settings
from kurt.db import get_engine
from kurt.llm.limits import LATEST, SPAN, TRANSIT, Limiter, RateLimit
from kurt.llm.shared_limits import DatabasePlaces, shared_limiter
from kurt.testing.faults import rate_limited
from kurt.testing.model_server import ModelServer
from tests.support.asking import OPENAI, Asker, request, settings_for
from tests.support.environment import child_environment
from tests.support.limited_calls import calls
from tests.support.waiting import wait_until

ROOT = Path(__file__).parents[2]


@pytest.fixture
def server() -> Iterator[ModelServer]:
    with ModelServer() as made:
        yield made


def allowed(window: float, per_minute: int) -> int:
    """Calls that may arrive within a window if a minute may have so many."""
    return math.floor((window + LATEST + TRANSIT) / (SPAN / per_minute)) + 1


def assert_spread(server: ModelServer, per_minute: int) -> None:
    for window in (0.5, 1.0, 2.0, 3.0):
        assert server.busiest(window) <= allowed(window, per_minute)


async def test_calls_are_spread_without_a_burst(server: ModelServer) -> None:
    started = time.monotonic()
    await calls(server.url, "-", 60, RateLimit(1200))
    assert time.monotonic() - started >= 59 * SPAN / 1200
    assert len(server.arrivals) == 60
    assert_spread(server, 1200)


async def test_a_limit_does_not_cost_throughput(server: ModelServer) -> None:
    server.latency = 0.5
    started = time.monotonic()
    await calls(server.url, "-", 300, RateLimit(60_000))
    assert time.monotonic() - started < 20
    assert len(server.arrivals) == 300


@pytest.mark.postgres
@pytest.mark.parametrize("backend", ["postgres"])
def test_processes_share_a_limit_on_postgres(database: Settings, server: ModelServer, home: Path) -> None:
    environ = child_environment(home, {"DATABASE_URL": database.database_url})
    argv = ["-m", "tests.support.limited_calls", server.url, str(database.root), "60", "1200"]
    processes = [subprocess.Popen([sys.executable, *argv], cwd=ROOT, env=environ) for _ in range(2)]
    assert [process.wait(60) for process in processes] == [0, 0]
    assert len(server.arrivals) == 120
    assert server.arrivals[-1].at - server.arrivals[0].at >= 119 * SPAN / 1200 - LATEST - TRANSIT
    assert_spread(server, 1200)


@pytest.mark.postgres
@pytest.mark.parametrize("backend", ["postgres"])
async def test_a_clock_that_was_put_back_stops_nobody(database: Settings) -> None:
    from sqlalchemy import text

    places = DatabasePlaces(get_engine(database), database, "somewhere")
    await places.take(RateLimit(600), [0], [])
    with get_engine(database).begin() as connection:
        far = '{"request": 9e9, "tokens": 0, "last": 9e9, "used": []}'
        connection.execute(text('UPDATE llm_limits SET "window" = CAST(:far AS jsonb)'), {"far": far})
    found = await places.take(RateLimit(600), [0], [])
    assert found[0].at - time.monotonic() < 1


async def test_the_same_model_has_one_limiter(server: ModelServer) -> None:
    settings = settings_for(server)
    limit = RateLimit(600)
    assert shared_limiter(settings, OPENAI, limit) is shared_limiter(settings, OPENAI, limit)
    other = shared_limiter(settings, "openai/another", limit)
    assert other is not shared_limiter(settings, OPENAI, limit)


async def test_two_steps_with_different_limits_share_the_places(server: ModelServer) -> None:
    settings = settings_for(server)
    first = shared_limiter(settings, OPENAI, RateLimit(60))
    second = shared_limiter(settings, OPENAI, RateLimit(6000))
    await first.enter(request())
    started = time.monotonic()
    await second.enter(request())
    assert time.monotonic() - started > 0.5  # the first one's place keeps a second free


async def test_a_wait_that_the_provider_asks_for_holds_for_all_calls(server: ModelServer) -> None:
    server.script("unlucky", rate_limited(1.0))
    asker, limiter = Asker(server), Limiter(RateLimit(60_000))
    unlucky = asyncio.create_task(asker("unlucky", limiter=limiter))
    await asyncio.to_thread(wait_until, lambda: server.arrivals, 10)
    await asyncio.sleep(0.1)
    await asker("lucky", limiter=limiter)
    await unlucky
    first, *later = (arrival.at for arrival in server.arrivals)
    assert all(moment - first >= 0.9 for moment in later)


async def test_tokens_are_limited_by_what_calls_used(server: ModelServer) -> None:
    limiter = Limiter(RateLimit(tokens_per_minute=60_000))
    asker = Asker(server)
    started = time.monotonic()
    for _ in range(4):
        await asker("x" * 3_000, limiter=limiter)  # 1,000 tokens guessed, and an answer of 500
    assert 3 * 0.5 < time.monotonic() - started < 8


async def test_a_call_that_waits_can_be_cancelled(server: ModelServer) -> None:
    limiter = Limiter(RateLimit(60))
    await limiter.enter(request())
    waiting = asyncio.create_task(limiter.enter(request()))
    await asyncio.sleep(0.05)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting


async def test_a_place_that_waited_too_long_is_taken_anew(server: ModelServer) -> None:
    limiter = Limiter(RateLimit(6000))
    permit = await limiter.enter(request())
    assert permit.fresh()
    await asyncio.sleep(LATEST + 0.1)
    assert not permit.fresh()


async def test_a_slow_trace_does_not_break_the_limit(server: ModelServer) -> None:
    limiter, asker = Limiter(RateLimit(6000)), Asker(server)
    announced = 0

    async def slow(_number: int) -> None:
        nonlocal announced
        announced += 1
        await asyncio.sleep(LATEST + 0.2 if announced == 1 else 0)

    from kurt.llm.calls import ask

    await ask(request(), completer=asker.client, limiter=limiter, on_attempt_start=slow)
    assert announced == 2  # told again, with the same number, once a new place was there
    assert len(server.arrivals) == 1
